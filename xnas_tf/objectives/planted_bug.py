"""Planted bug: how clearly attributions reveal a known bug in the training images.

The bug is a watermark that indicates one class; see ``dataset.bug``. Attributions are compared on
validation images of other classes, with and without the watermark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.stats import mannwhitneyu

from xnas_tf.errors import InputError
from xnas_tf.objectives.attribution_quality import MethodObjective
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    import keras

    from xnas_tf.data import Dataset
    from xnas_tf.data.watermark import Bug

CHANCE = 0.5
FOUND = 0.95
"""Minimum area under the ROC curve for a bug to count as found. docs/benchmarks/ground-truth.md
measures false alarms."""


class BugObjective(Objective):
    """A value that requires a data set with a planted bug."""

    def check_dataset(self, dataset: Dataset) -> None:
        """See ``Objective.check_dataset``."""
        if dataset.bug is None:
            raise InputError(
                f"{self.name} needs a planted bug; allowed: dataset.bug with its "
                "options, such as dataset.bug.target=0 (share 0 for a control without the bug)"
            )

    def _bug(self, subject: Subject) -> Bug:
        if subject.bug is None:  # checked before a search, but not by others who score a model
            raise InputError(f"{self.name} needs a planted bug, which is missing")
        return subject.bug


class PlantedBug(MethodObjective, BugObjective):
    """How clearly attributions reveal a bug planted in the training images; higher is better.

    The value is in [0, 1]; chance is 0.5. The watermark is added to validation images of other
    classes. Two maps of each image are then compared, one for the bug's class and one for a class
    that is neither the bug's class nor the image's own class. The difference between the shares of
    positive attribution on the watermark's pixels shows how much more strongly the watermark counts
    as evidence for the bug's class than for other classes. The value is the area under the ROC
    curve when this difference is used to distinguish images with the watermark from the same images
    without it. A watermark that draws attention for all classes, as a bright patch does with
    integrated gradients, is not evidence of a bug. A network that never learned the bug has nothing
    to reveal, so its value is at chance level. The following metrics are also recorded: the share
    of images with the watermark that are predicted as the bug's class (`learned`), the same share
    without the watermark (`base`), the share of attribution on the watermark (`mass`), and whether
    the value is at least 0.95 (`found`).
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["planted_bug"] = "planted_bug"
    direction: Direction = "maximize"
    images: int = Field(64, ge=2, description="maximum number of validation images")
    seed: int = Field(0, ge=0, description="seed for choosing the other classes")

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; the values of all images are collected in one array."""
        labels, ranks = subject.gathered(subject.labels), subject.communicator
        bug = self._bug(subject)
        rows = np.flatnonzero(labels != bug.target)[: self.images]
        if not len(rows):
            return ObjectiveValue(CHANCE, {}, f"{self.name}: no image of another class")
        others = self._other_classes(labels[rows], bug.target, subject.classes)
        is_mine = rows % ranks.size == ranks.rank
        clean = np.asarray(subject.images[rows[is_mine] // ranks.size])
        stamped = bug.watermark.stamped(clean)
        values = np.zeros((2, 3, len(rows)))
        for number, images in enumerate((stamped, clean)):
            values[number][:, is_mine] = self._look(subject.model, images, others[is_mine], bug)
        ((with_it, without),) = ranks.sum(values)
        value = area_under_roc(with_it[1], without[1])
        metrics = {
            "chance": CHANCE,
            "learned": with_it[2].mean(),
            "base": without[2].mean(),
            "mass": with_it[0].mean(),
            "found": value >= FOUND,
            "standard_error": error_of_area(value, len(rows)),
        }
        named = {f"{self.name}/{name}": float(number) for name, number in metrics.items()}
        return ObjectiveValue(value, named)

    def _other_classes(self, labels: np.ndarray, target: int, classes: int) -> np.ndarray:
        """For each image, draw a class that is neither the target nor the image's own class, (N,).

        If there are only two classes, draw the image's own class.
        """
        order = np.random.default_rng(self.seed).random((len(labels), classes))
        order[np.arange(len(labels)), labels] = -1
        order[:, target] = -2
        return order.argmax(axis=1)

    def _look(
        self, model: keras.Model, images: np.ndarray, others: np.ndarray, bug: Bug
    ) -> np.ndarray:
        """Explain images (N, H, W, C), uint8, for the bug's class and for another class (N,).

        Returns (3, N): the share of attribution on the watermark, how much this share exceeds the
        other class's share, and whether the image is predicted as the bug's class.
        """
        from xnas_tf.attribution.metrics import attribution_mass
        from xnas_tf.attribution.outputs import probabilities_of
        from xnas_tf.keras_tools.preprocessing import to_model_input

        inputs, masks = to_model_input(images).numpy(), bug.watermark.masks(images.shape)
        method, targets = self._attribution(), np.full_like(others, bug.target)
        mass, other = (
            attribution_mass(method(model, inputs, classes), masks) for classes in (targets, others)
        )
        predicted = probabilities_of(model, inputs).argmax(axis=1) if len(images) else targets
        return np.stack([mass, mass - other, predicted == bug.target])


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the probability that a value of the first group exceeds one of the second.

    Ties count as half. The probability is Mann and Whitney's U divided by the number of pairs. It
    is NaN if any value is NaN.
    """
    pairs = len(positive) * len(negative)
    return float(mannwhitneyu(positive, negative, method="asymptotic").statistic / pairs)


def error_of_area(area: float, count: int) -> float:
    """Return the standard error of the area under a ROC curve with ``count`` values of each kind.

    The formula is equation 2 of Hanley & McNeil 1982 (Radiology 143), which does not take into
    account that the values are paired. The formula gives 0 for areas of 0 and 1, however few the
    values, so the area is first clipped to ``1 / (2 * count)`` and ``1 - 1 / (2 * count)``.
    """
    area = float(np.clip(area, 0.5 / count, 1 - 0.5 / count))
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (count - 1) * (one + two - 2 * area**2)
    return float(np.sqrt(max(variance, 0)) / count)
