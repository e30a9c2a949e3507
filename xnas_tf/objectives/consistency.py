"""Consistency: whether different attribution methods agree on how to explain a network."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from xnas_tf.attribution import method_with_steps
from xnas_tf.objectives.attribution_quality import (
    AttributionQuality,
    MethodName,
    Values,
    distinct,
)
from xnas_tf.objectives.base import Direction, Subject

if TYPE_CHECKING:
    import keras


class Consistency(AttributionQuality):
    """Rank correlation between different attribution methods' maps of the same image.

    The value is in [-1, 1]; higher is better. It is Spearman's correlation of all pixels' positive
    attributions, averaged over pairs of methods. Krishna et al. (2022, arXiv 2202.01602) use this
    correlation to study the disagreement problem. Methods may also agree for trivial reasons, for
    instance because all maps have their maximum in the middle. The correlation between maps of
    different images is therefore recorded as `consistency/chance`.
    """

    lowest: ClassVar[float] = -1.0
    name: Literal["consistency"] = "consistency"
    direction: Direction = "maximize"
    methods: Annotated[tuple[MethodName, ...], AfterValidator(distinct)] = Field(
        ("grad_cam", "integrated_gradients"),
        min_length=2,
        description="names of two or more attribution methods",
    )

    @property
    def used_methods(self) -> list[str]:
        """See ``Objective.used_methods``."""
        return [*self.methods]

    def check_model(self, model: keras.Model) -> None:
        """See ``Objective.check_model``."""
        for name in self.methods:
            method_with_steps(name, self.steps).check_model(model)

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        methods = [method_with_steps(name, self.steps) for name in self.methods]
        explained = subject.model, images, subject.predicted
        maps = [np.maximum(method(*explained), 0) for method in methods]
        every = [subject.gathered(each) for each in maps]
        total = len(every[0])
        # This rank's images have the numbers rank, rank + size, ...: see ``Subject``.
        numbers = subject.communicator.rank + subject.communicator.size * np.arange(len(images))
        others = [each[(numbers + 1) % total] for each in every]
        pairs = list(combinations(range(len(maps)), 2))
        values = {"": [self._agreement(maps[i], maps[j]) for i, j in pairs]}
        if total > 1:
            values["chance"] = [self._agreement(maps[i], others[j]) for i, j in pairs]
        return {name: np.mean(each, axis=0) for name, each in values.items()}

    def _agreement(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Correlate pairs of maps (N, H, W); pairs with an empty map get the worst value."""
        from xnas_tf.attribution.metrics import is_empty
        from xnas_tf.attribution.metrics.statistics import spearman

        rows = len(one), int(np.prod(one.shape[1:]))
        found = spearman(one.reshape(rows), other.reshape(rows))
        return np.where(is_empty(one) | is_empty(other), self.worst, found)
