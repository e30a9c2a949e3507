"""Objectives that measure predictive performance."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject


class Error(Objective):
    """Share of misclassified validation images, in [0, 1]."""

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["error"] = "error"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; counts are summed over the ranks."""
        wrong = np.count_nonzero(subject.predicted != subject.labels)
        (counts,) = subject.communicator.sum(np.array([wrong, len(subject.labels)], np.float64))
        return ObjectiveValue(float(counts[0] / counts[1]))


BINS = 15
"""Number of confidence bins of the calibration error (Guo et al. 2017, section 5)."""


class CalibrationError(Objective):
    """Expected calibration error on the validation images, in [0, 1].

    The error is the mean difference between confidence (the largest predicted probability) and
    accuracy over 15 bins of equal width, weighted by the number of images (Guo et al. 2017, arXiv
    1706.04599, equation 3). The mean confidence is recorded as ``calibration_error/confidence``.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["calibration_error"] = "calibration_error"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; counts are summed over the ranks."""
        confidence = subject.probabilities.max(axis=1, initial=0.0).astype(np.float64)
        is_right = (subject.predicted == subject.labels).astype(np.float64)
        # Bins are open on the left, as in the paper.
        bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        sums = [np.bincount(bins, weights, BINS) for weights in (confidence, is_right, None)]
        confident, right, images = subject.communicator.sum(*sums)
        value = np.abs(confident - right).sum() / images.sum()
        mean = float(confident.sum() / images.sum())
        return ObjectiveValue(float(value), {"calibration_error/confidence": mean})


STANDARD_METRICS = ("accuracy", "loss")
"""Metrics that every model has, regardless of how it is compiled."""


class Metric(Objective):
    """A validation metric that the HyperModel passes to ``compile``.

    The metric is named `metric:NAME`, such as `metric:top3`. Other metrics logged in an epoch, such
    as `metric:loss`, and values returned by `HyperModel.fit` can also be used. The direction has no
    default.
    """

    name: str = Field(pattern="^metric:.+", description="`metric:` and the metric's name")
    direction: Direction

    @property
    def metric(self) -> str:
        """The metric's name without the prefix."""
        return self.name.partition(":")[2]

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; the metrics already cover all ranks."""
        metrics = subject.metrics
        for name in (f"val_{self.metric}", self.metric):
            if name in metrics:
                return ObjectiveValue(float(metrics[name]))
        known = {name.removeprefix("val_") for name in metrics}
        raise InputError(
            f"unknown metric {suggest(self.metric, known)}, or its value is not a finite number"
        )
