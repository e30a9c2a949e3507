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
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

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


class AttributionQuality(Objective):
    """Mean of a metric over images; the standard error is also recorded."""

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

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 2.0
    name: Literal["completeness_error"] = "completeness_error"

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution.integrated_gradients import IntegratedGradients
        from xnas_tf.attribution.metrics import completeness_error

        model, targets = subject.model, subject.predicted
        method = IntegratedGradients(steps=self.steps)
        errors = completeness_error(model, images, targets, method=method, empty=self.worst)
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
        names = [info.data.get("method", ""), *methods]
        if len(set(names)) < len(names):
            raise ValueError(f"the same method is given twice: {', '.join(names)}")
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


class MapQuality(MethodQuality):
    """A metric of maps; an image with an empty map gets the worst possible value."""

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics.statistics import with_empty

        maps = self._attribution()(subject.model, images, subject.predicted)
        values = self._measure_maps(subject, images, maps)
        return {**values, "": with_empty(values[""], maps, self.worst)}

    @abstractmethod
    def _measure_maps(self, subject: Subject, images: np.ndarray, maps: np.ndarray) -> Values:
        """Compute the metric for maps (N, H, W) of the predicted classes; see ``_measure``."""


class Deletion(MapQuality):
    """Area under the probability curve as the most important pixels are turned black.

    The area is in [0, 1]; lower is better (Petsiuk et al. 2018, arXiv 1806.07421).
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["deletion"] = "deletion"
    curve_steps: int = Field(
        16, ge=1, description="number of equal steps in which pixels are removed"
    )

    def _measure_maps(self, subject: Subject, images: np.ndarray, maps: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import deletion

        targets, steps = subject.predicted, self.curve_steps
        return {"": deletion(subject.model, images, maps, targets, steps=steps)}


class Insertion(MapQuality):
    """Area under the probability curve as the most important pixels are inserted.

    The inserted pixels replace those of a blurred image. The area is in [0, 1]; higher is better
    (Petsiuk et al. 2018, arXiv 1806.07421).
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["insertion"] = "insertion"
    direction: Direction = "maximize"
    curve_steps: int = Field(
        16, ge=1, description="number of equal steps in which pixels are inserted"
    )

    def _measure_maps(self, subject: Subject, images: np.ndarray, maps: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import insertion

        targets, steps = subject.predicted, self.curve_steps
        return {"": insertion(subject.model, images, maps, targets, steps=steps)}


class Sparseness(MapQuality):
    """Gini index of the maps, which is high if the maps concentrate on a few pixels.

    The index is in [0, 1); higher is better (Chalasani et al. 2020, arXiv 1810.06583).
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["sparseness"] = "sparseness"
    direction: Direction = "maximize"

    def _measure_maps(self, subject: Subject, images: np.ndarray, maps: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import sparseness

        return {"": sparseness(maps)}


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
    highest: ClassVar[float] = 1.0
    name: Literal["sensitivity_n"] = "sensitivity_n"
    direction: Direction = "maximize"
    share: float = Field(0.25, gt=0, lt=1, description="share of the pixels that each set contains")
    subsets: int = Field(64, ge=2, description="number of random sets of pixels")

    def _measure_maps(self, subject: Subject, images: np.ndarray, maps: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import sensitivity_n

        explained = subject.model, images, maps, subject.predicted
        n = max(1, round(self.share * images.shape[1] * images.shape[2]))
        return {"": sensitivity_n(*explained, n=n, rng=self._rng(), subsets=self.subsets)}


class Infidelity(SeededQuality, MapQuality):
    """Squared error when attributions predict the drop in the logit as squares turn black.

    The error is relative to the larger of the two mean squares, in [0, 4]; lower is better (Yeh et
    al. 2019, arXiv 1901.09392). The metric suits methods whose maps are contributions to the logit,
    that is, integrated gradients, gradient times input and occlusion. The absolute metric as
    published, in squared units of the logit, is also recorded as ``infidelity/absolute``.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 4.0
    name: Literal["infidelity"] = "infidelity"
    perturbations: int = Field(64, ge=1, description="number of random squares")

    def _measure_maps(self, subject: Subject, images: np.ndarray, maps: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import infidelity

        explained, count = (subject.model, images, maps, subject.predicted), self.perturbations
        errors = infidelity(*explained, rng=self._rng(), perturbations=count)
        return {"": errors.relative, "absolute": errors.absolute}


class MaxSensitivity(SeededQuality):
    """Largest relative change of a map when a little noise is added to its image.

    The change is in [0, 2]; lower is better (Yeh et al. 2019, arXiv 1901.09392).
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 2.0
    name: Literal["max_sensitivity"] = "max_sensitivity"
    radius: float = Field(0.02, gt=0, description="largest noise value, for images in [0, 1]")
    samples: int = Field(4, ge=1, description="number of noisy copies of each image")

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import max_sensitivity

        explained = subject.model, images, self._attribution(), subject.predicted
        rng, radius, samples, empty = self._rng(), self.radius, self.samples, self.worst
        return {
            "": max_sensitivity(*explained, rng=rng, radius=radius, samples=samples, empty=empty)
        }


class Randomization(SeededQuality):
    """Similarity of maps before and after layers are randomized, starting from the output.

    The similarity is the mean absolute rank correlation over the stages, in [0, 1]; lower is
    better, because a map that does not change does not show what was learned (Adebayo et al. 2018,
    arXiv 1810.03292). Each stage's mean correlation is recorded as ``randomization/stage_1`` and so
    on. Methods that multiply by the image give 0 at black pixels, regardless of the weights. As a
    result, the similarity is high for these methods (0.91 for integrated gradients, compared with
    0.17 for SmoothGrad, on a network trained on digits) and hardly differs between candidates.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["randomization"] = "randomization"
    method: MethodName = Field("smooth_grad", description="name of the attribution method")
    stages: int = Field(
        4, ge=1, description="number of groups of layers that are randomized one after the other"
    )

    def _measure(self, subject: Subject, images: np.ndarray) -> Values:
        from xnas_tf.attribution.metrics import randomization

        explained = subject.model, images, self._attribution(), subject.predicted
        correlations = randomization(
            *explained, rng=self._rng(), stages=self.stages, empty=self.worst
        )
        stages = {f"stage_{i}": each for i, each in enumerate(correlations, start=1)}
        # A map with inverted ranks is as informative as the original, so the sign is ignored.
        return {"": np.abs(correlations).mean(axis=0), **stages}
