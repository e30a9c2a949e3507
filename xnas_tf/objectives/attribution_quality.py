"""Quality of explanations: whether a network's attribution maps can be relied on.

The measures are those of ``xnas_tf.attribution.metrics``. A value is the mean over
validation images, explained for their predicted class; chance is the same for every image
and every rank, so a value depends on the images and the seed alone.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from xnas_tf.attribution import ATTRIBUTIONS, attribution_method
from xnas_tf.errors import suggest
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    import keras

    from xnas_tf.attribution.base import AttributionMethod

Values = dict[str, np.ndarray]
"""The objective's value of each image, (N,), under ``""``; other figures by name."""


class AttributionQuality(Objective):
    """Mean of a measure over images; a standard error over them is recorded."""

    images: int = Field(32, ge=1, description="validation images looked at, at most")
    steps: int = Field(8, ge=1, description="of integrated gradients")

    @abstractmethod
    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        """Measures images (N, H, W, C), floats in [0, 1], for their target classes (N,)."""

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; sums and counts are added up over the ranks."""
        from xnas_tf.keras_tools.preprocessing import to_model_input

        communicator = subject.communicator
        share = len(range(communicator.rank, self.images, communicator.size))
        images = to_model_input(subject.images[:share]).numpy()
        values = self._measure(subject.model, images, subject.predicted[:share])
        sums = np.array([len(images), *(each.sum() for each in values.values())], np.float64)
        ((count, *totals),) = communicator.sum(sums)
        means = {name: float(total / count) for name, total in zip(values, totals, strict=True)}
        value = means.pop("")
        metrics = {f"{self.name}/{name}": mean for name, mean in means.items()}
        (squares,) = communicator.sum(np.sum((values[""] - value) ** 2))
        if count > 1:  # a single image has no spread to tell it from
            metrics[f"{self.name}/standard_error"] = float(np.sqrt(squares / (count - 1) / count))
        return ObjectiveValue(value, metrics)


class CompletenessError(AttributionQuality):
    """How far integrated gradients miss the change of the logit that they share out.

    Relative to the change, in [0, 2] (Sundararajan et al. 2017, arXiv 1703.01365): what a
    rough network needs more steps for. Recorded besides: the error in units of the logit, as
    ``completeness_error/absolute``.
    """

    name: Literal["completeness_error"] = "completeness_error"

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.integrated_gradients import IntegratedGradients
        from xnas_tf.attribution.metrics import completeness_error

        method = IntegratedGradients(steps=self.steps)
        errors = completeness_error(model, images, targets, method=method)
        return {"": errors.relative, "absolute": errors.absolute}


class MethodQuality(AttributionQuality):
    """What can be measured of any attribution method."""

    method: str = Field("integrated_gradients", description="attribution method, by name")

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        if method not in ATTRIBUTIONS.names() and ":" not in method:
            raise ValueError(f"unknown attribution method {suggest(method, ATTRIBUTIONS.names())}")
        return method

    def check(self, class_names: tuple[str, ...]) -> None:
        """See ``Objective.check``."""
        attribution_method(self.method)

    def _explain(self) -> AttributionMethod:
        method = attribution_method(self.method)
        return method(**({"steps": self.steps} if "steps" in method.model_fields else {}))


class Deletion(MethodQuality):
    """Area under the probability's fall as the most important pixels turn black, in [0, 1].

    Less is better (Petsiuk et al. 2018, arXiv 1806.07421).
    """

    name: Literal["deletion"] = "deletion"
    curve_steps: int = Field(16, ge=1, description="equal parts in which the pixels go")

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import deletion

        maps = self._explain()(model, images, targets)
        return {"": deletion(model, images, maps, targets, steps=self.curve_steps)}


class Insertion(MethodQuality):
    """Area under the probability's rise as the most important pixels sharpen, in [0, 1].

    From a blurred image; more is better (Petsiuk et al. 2018, arXiv 1806.07421).
    """

    name: Literal["insertion"] = "insertion"
    direction: Literal["minimize", "maximize"] = "maximize"
    curve_steps: int = Field(16, ge=1, description="equal parts in which the pixels come")

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import insertion

        maps = self._explain()(model, images, targets)
        return {"": insertion(model, images, maps, targets, steps=self.curve_steps)}


class Sparseness(MethodQuality):
    """Gini index of the maps: how few pixels they rest on, in [0, 1); more is better.

    Chalasani et al. 2020, arXiv 1810.06583.
    """

    name: Literal["sparseness"] = "sparseness"
    direction: Literal["minimize", "maximize"] = "maximize"

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import sparseness

        return {"": sparseness(self._explain()(model, images, targets))}


class SeededQuality(MethodQuality):
    """What is measured with the help of chance."""

    seed: int = Field(0, ge=0, description="of what is drawn at random")

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


class SensitivityN(SeededQuality):
    """Correlation of attributions with the logit's fall when random pixels turn black.

    In [-1, 1]; more is better (Ancona et al. 2018, arXiv 1711.06104).
    """

    name: Literal["sensitivity_n"] = "sensitivity_n"
    direction: Literal["minimize", "maximize"] = "maximize"
    share: float = Field(0.25, gt=0, lt=1, description="of the pixels, removed at a time")
    subsets: int = Field(64, ge=2, description="random sets of pixels")

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import sensitivity_n

        maps = self._explain()(model, images, targets)
        n = max(1, round(self.share * images.shape[1] * images.shape[2]))
        rng, subsets = self._rng(), self.subsets
        return {"": sensitivity_n(model, images, maps, targets, n=n, rng=rng, subsets=subsets)}


class Infidelity(SeededQuality):
    """Squared difference of attributions and the logit's fall when random squares turn black.

    Relative to the larger of the two, in [0, 4]; a map of zeros has 1 (Yeh et al. 2019, arXiv
    1901.09392). Meant for methods whose maps share out the logit: integrated gradients,
    gradient times input, occlusion. Recorded besides: the published, absolute measure, in
    squared units of the logit, as ``infidelity/absolute``.
    """

    name: Literal["infidelity"] = "infidelity"
    perturbations: int = Field(64, ge=1, description="random squares")

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import infidelity

        maps = self._explain()(model, images, targets)
        errors = infidelity(
            model, images, maps, targets, rng=self._rng(), perturbations=self.perturbations
        )
        return {"": errors.relative, "absolute": errors.absolute}


class MaxSensitivity(SeededQuality):
    """Largest relative change of a map under small noise on its image, in [0, 2].

    Less is better (Yeh et al. 2019, arXiv 1901.09392).
    """

    name: Literal["max_sensitivity"] = "max_sensitivity"
    radius: float = Field(0.02, gt=0, description="of the noise; images are in [0, 1]")
    samples: int = Field(4, ge=1, description="noisy copies of an image")

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import max_sensitivity

        changes = max_sensitivity(
            model,
            images,
            self._explain(),
            targets,
            rng=self._rng(),
            radius=self.radius,
            samples=self.samples,
        )
        return {"": changes}


class Randomization(SeededQuality):
    """How alike maps stay while layers get random weights, from the output down.

    Mean over the stages of the absolute rank correlation, in [0, 1]; less is better: a map
    that stays the same does not show what was learned (Adebayo et al. 2018, arXiv
    1810.03292). Each stage's mean correlation is recorded as ``randomization/stage_1`` and so
    on. Methods that multiply by the image leave black pixels at 0 whatever the weights, which
    alone makes their maps alike (0.91 for integrated gradients, 0.17 for SmoothGrad on a
    network trained on digits): they tell candidates apart badly here.
    """

    name: Literal["randomization"] = "randomization"
    method: str = Field("smooth_grad", description="attribution method, by name")
    stages: int = Field(4, ge=1, description="equal groups of layers, randomised one by one")

    def _measure(self, model: keras.Model, images: np.ndarray, targets: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import randomization

        method, rng = self._explain(), self._rng()
        found = randomization(model, images, method, targets, rng=rng, stages=self.stages)
        stages = {
            f"stage_{number}": each for number, each in enumerate(found.correlations, start=1)
        }
        # A map turned upside down says as much as before: the sign doesn't count.
        return {"": np.abs(found.correlations).mean(axis=0), **stages}
