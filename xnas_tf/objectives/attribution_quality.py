"""Explanation quality: how reliable a network's attribution maps are.

The metrics are those in ``xnas_tf.attribution.metrics``. Each value is a mean over validation
images, whose maps explain the predicted classes. Random draws are the same for every image and
rank, so a value depends only on the images and the seed.

A map that is 0 everywhere, as is common with Grad-CAM, explains nothing. Such a map gets the
metric's worst value. Otherwise, networks with empty maps would win, because these maps never
change.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from xnas_tf.attribution import ATTRIBUTIONS, method_with_steps
from xnas_tf.errors import NotApplicable, suggest
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    import keras

    from xnas_tf.attribution.base import AttributionMethod

Values = dict[str, np.ndarray]
"""Values of each image, (N,), by metric; the objective's own values have the key ``""``."""


def _known(name: str) -> str:
    if name not in ATTRIBUTIONS.names() and ":" not in name:
        raise ValueError(f"unknown attribution method {suggest(name, ATTRIBUTIONS.names())}")
    return name


MethodName = Annotated[str, AfterValidator(_known)]
"""An attribution method's name, which may be ``module:Name``."""


def distinct(methods: Sequence[str]) -> Sequence[str]:
    """Check that no attribution method is given twice."""
    if len(set(methods)) < len(methods):
        raise ValueError(f"the same method is given twice: {', '.join(methods)}")
    return methods


class AttributionQuality(Objective):
    """Mean of a metric over images; the standard error is also recorded.

    The metric is in [0, 1] unless a subclass has other limits.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    images: int = Field(32, ge=1, description="maximum number of validation images")
    steps: int = Field(8, ge=1, description="number of steps of integrated gradients")

    @abstractmethod
    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        """Compute the metric for the subject's images (N, H, W, C), given as floats in [0, 1]."""

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; sums and counts are summed over the ranks."""
        from xnas_tf.keras_tools.preprocessing import to_model_input

        communicator = subject.communicator
        subject = subject.first(self.images)
        images = to_model_input(subject.images).numpy()
        values = self._measure(subject, images)
        sums = np.array([len(images), *(each.sum() for each in values.values())], np.float64)
        ((count, *totals),) = communicator.sum(sums)
        means = {name: float(total / count) for name, total in zip(values, totals, strict=True)}
        value = means.pop("")
        metrics = {f"{self.name}/{name}": mean for name, mean in means.items()}
        (squares,) = communicator.sum(np.asarray(np.sum((values[""] - value) ** 2)))
        if count > 1:  # a single image has no variance
            metrics[f"{self.name}/standard_error"] = float(np.sqrt(squares / (count - 1) / count))
        return ObjectiveValue(value, metrics)


class CompletenessError(AttributionQuality):
    """Difference between the sum of integrated gradients and the change in the logit.

    The difference is relative to the larger of the two, in [0, 2]; lower is better (Sundararajan et
    al. 2017, arXiv 1703.01365). Less smooth networks need more steps. The absolute error, in units
    of the logit, is also recorded as ``completeness_error/absolute``.
    """

    highest: ClassVar[float] = 2.0
    name: Literal["completeness_error"] = "completeness_error"

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution import metrics
        from xnas_tf.attribution.integrated_gradients import IntegratedGradients

        model, targets = subject.model, subject.predicted
        method = IntegratedGradients(steps=self.steps)
        errors = metrics.completeness_error(model, images, targets, method=method, empty=self.worst)
        return {"": errors.relative, "absolute": errors.absolute}


class MethodObjective(Objective):
    """An objective that uses any attribution method."""

    method: MethodName = Field("integrated_gradients", description="name of the attribution method")
    steps: int = Field(8, ge=1, description="number of steps of integrated gradients")

    @property
    def used_methods(self) -> list[str]:
        """See ``Objective.used_methods``."""
        return [self.method]

    def check_model(self, model: keras.Model) -> None:
        """See ``Objective.check_model``."""
        self._attribution().check_model(model)

    def _attribution(self) -> AttributionMethod:
        return method_with_steps(self.method, self.steps)


class MethodQuality(MethodObjective, AttributionQuality):
    """A metric defined for any attribution method."""

    further_methods: tuple[MethodName, ...] = Field(
        (),
        description="names of further attribution methods, whose values are recorded as "
        "`NAME/METHOD`",
    )

    @field_validator("further_methods")
    @classmethod
    def _validate_further(cls, methods: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        distinct([info.data.get("method", ""), *methods])
        return methods

    @property
    def used_methods(self) -> list[str]:
        """See ``Objective.used_methods``."""
        return [self.method, *self.further_methods]

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``.

        A further method that has no value does not affect the others; the reason says why.
        """
        own = super().score(subject)
        metrics, reasons = dict(own.metrics), list[str]()
        for method in self.further_methods:
            measure = self.model_copy(update={"method": method, "further_methods": ()})
            prefix = f"{self.name}/{method}"
            try:
                score = measure.score(subject)
            except NotApplicable as error:  # raised on all ranks
                score = ObjectiveValue(math.nan, reason=str(error))
            if not math.isfinite(score.value):
                why = f" ({score.reason})" if score.reason else ""
                reasons.append(f"not recorded: {prefix} is {score.value}{why}")
            metrics[prefix] = score.value
            metrics |= {
                name.replace(self.name, prefix, 1): each for name, each in score.metrics.items()
            }
        return replace(own, metrics=metrics, reason="; ".join(reasons))


class Explained(NamedTuple):
    """The arguments of metrics of maps (N, H, W), which explain the predicted classes (N,)."""

    model: keras.Model
    images: np.ndarray
    maps: np.ndarray
    targets: np.ndarray


class MapQuality(MethodQuality):
    """A metric of maps; an image with an empty map gets the worst possible value."""

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution import metrics

        maps = self._attribution()(subject.model, images, subject.predicted)
        explained = Explained(subject.model, images, maps, subject.predicted)
        values = self._measure_maps(explained, subject)
        return {**values, "": np.where(metrics.is_empty(maps), self.worst, values[""])}

    @abstractmethod
    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        """Compute the metric for maps of the subject's images; see ``_measure``."""


class Deletion(MapQuality):
    """Area under the probability curve as the most important pixels are turned black.

    The area is in [0, 1]; lower is better (Petsiuk et al. 2018, arXiv 1806.07421).
    """

    name: Literal["deletion"] = "deletion"
    curve_steps: int = Field(
        16, ge=1, description="number of equal steps in which pixels are removed"
    )

    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        from xnas_tf.attribution import metrics

        return {"": metrics.deletion(*explained, steps=self.curve_steps)}


class Insertion(MapQuality):
    """Area under the probability curve as the most important pixels are inserted.

    The inserted pixels replace those of a blurred image. The area is in [0, 1]; higher is better
    (Petsiuk et al. 2018, arXiv 1806.07421).
    """

    name: Literal["insertion"] = "insertion"
    direction: Direction = "maximize"
    curve_steps: int = Field(
        16, ge=1, description="number of equal steps in which pixels are inserted"
    )

    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        from xnas_tf.attribution import metrics

        return {"": metrics.insertion(*explained, steps=self.curve_steps)}


class Sparseness(MapQuality):
    """Gini index of the maps, which is high if the maps concentrate on a few pixels.

    The index is in [0, 1); higher is better (Chalasani et al. 2020, arXiv 1810.06583).
    """

    name: Literal["sparseness"] = "sparseness"
    direction: Direction = "maximize"

    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        from xnas_tf.attribution import metrics

        return {"": metrics.sparseness(explained.maps)}


class SeededQuality(MethodQuality):
    """A metric that uses random numbers."""

    seed: int = Field(0, ge=0, description="seed of the random numbers")

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


class SensitivityN(SeededQuality, MapQuality):
    """Correlation of attributions with the drop in the logit when random pixels are turned black.

    The correlation is in [-1, 1]; higher is better (Ancona et al. 2018, arXiv 1711.06104).
    """

    lowest: ClassVar[float] = -1.0
    name: Literal["sensitivity_n"] = "sensitivity_n"
    direction: Direction = "maximize"
    share: float = Field(0.25, gt=0, lt=1, description="share of the pixels that each set contains")
    subsets: int = Field(64, ge=2, description="number of random sets of pixels")

    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        from xnas_tf.attribution import metrics

        n = max(1, round(self.share * math.prod(explained.maps.shape[1:])))
        rng = self._rng()
        return {"": metrics.sensitivity_n(*explained, n=n, rng=rng, subsets=self.subsets)}


class Infidelity(SeededQuality, MapQuality):
    """Squared error when attributions predict the drop in the logit as squares turn black.

    The error is relative to the larger of the two mean squares, in [0, 4]; lower is better (Yeh et
    al. 2019, arXiv 1901.09392). The metric suits methods whose maps are contributions to the logit,
    that is, integrated gradients, gradient times input and occlusion. The absolute metric as
    published, in squared units of the logit, is also recorded as ``infidelity/absolute``.
    """

    highest: ClassVar[float] = 4.0
    name: Literal["infidelity"] = "infidelity"
    perturbations: int = Field(64, ge=1, description="number of random squares")

    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        from xnas_tf.attribution import metrics

        rng, perturbations = self._rng(), self.perturbations
        errors = metrics.infidelity(*explained, rng=rng, perturbations=perturbations)
        return {"": errors.relative, "absolute": errors.absolute}


class MaxSensitivity(SeededQuality):
    """Largest relative change of a map when a little noise is added to its image.

    The change is in [0, 2]; lower is better (Yeh et al. 2019, arXiv 1901.09392).
    """

    highest: ClassVar[float] = 2.0
    name: Literal["max_sensitivity"] = "max_sensitivity"
    radius: float = Field(0.02, gt=0, description="largest noise value, for images in [0, 1]")
    samples: int = Field(4, ge=1, description="number of noisy copies of each image")

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution import metrics

        changes = metrics.max_sensitivity(
            subject.model,
            images,
            self._attribution(),
            subject.predicted,
            rng=self._rng(),
            radius=self.radius,
            samples=self.samples,
            empty=self.worst,
        )
        return {"": changes}


class Randomization(SeededQuality):
    """Similarity of maps before and after layers are randomized, starting from the output.

    The similarity is the mean absolute rank correlation over the stages, in [0, 1]; lower is
    better, because a map that does not change does not show what was learned (Adebayo et al. 2018,
    arXiv 1810.03292). Each stage's mean correlation is recorded as ``randomization/stage_1`` and so
    on. Methods that multiply by the image give 0 at black pixels, regardless of the weights. As a
    result, the similarity is high for these methods (0.91 for integrated gradients, compared with
    0.17 for SmoothGrad, on a network trained on digits) and hardly differs between candidates.
    """

    name: Literal["randomization"] = "randomization"
    method: MethodName = Field("smooth_grad", description="name of the attribution method")
    stages: int = Field(
        4, ge=1, description="number of groups of layers that are randomized one after the other"
    )

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution import metrics

        correlations = metrics.randomization(
            subject.model,
            images,
            self._attribution(),
            subject.predicted,
            rng=self._rng(),
            stages=self.stages,
            empty=self.worst,
        )
        stages = {f"stage_{i}": each for i, each in enumerate(correlations, start=1)}
        # A map with inverted ranks is as informative as the original, so the sign is ignored.
        return {"": np.abs(correlations).mean(axis=0), **stages}
