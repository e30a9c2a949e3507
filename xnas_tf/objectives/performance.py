"""Objectives of predictive performance."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject


class Error(Objective):
    """Share of misclassified validation images, in [0, 1]."""

    name: Literal["error"] = "error"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; counts are summed over the ranks."""
        wrong = np.count_nonzero(subject.predicted != subject.labels)
        (counts,) = subject.communicator.sum(np.array([wrong, len(subject.labels)], np.float64))
        return ObjectiveValue(float(counts[0] / counts[1]))


STANDARD_METRICS = ("accuracy", "loss")
"""Metrics of every model, regardless of how it is compiled."""


class Metric(Objective):
    """A metric on the validation split with which the HyperModel compiled its models.

    It is named `metric:NAME`, such as `metric:top3`. Other metrics of an epoch, such as
    `metric:loss`, and values returned by `HyperModel.fit` work as well. There is no default
    direction.
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
