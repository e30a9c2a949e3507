"""Objectives of performance."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject


class Error(Objective):
    """Share of validation images that are classified wrongly, in [0, 1]."""

    name: Literal["error"] = "error"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; counts are summed over the ranks, then divided."""
        wrong = np.count_nonzero(subject.predicted != subject.labels)
        (counts,) = subject.communicator.sum(np.array([wrong, len(subject.labels)], np.float64))
        return ObjectiveValue(float(counts[0] / counts[1]))


OF_EVERY_TRAINING = ("accuracy", "loss")
"""Metrics that each model has, whatever it is compiled with."""


class Metric(Objective):
    """A metric that the HyperModel compiled its models with, on the validation part: `metric:NAME`,
    such as `metric:top3`. Also any other figure of an epoch, such as `metric:loss`, and what
    `HyperModel.fit` returned. There is no default direction."""

    name: str = Field(pattern="^metric:.+", description="`metric:` and the metric's name")
    direction: Literal["minimize", "maximize"]

    @property
    def metric(self) -> str:
        """The metric's own name."""
        return self.name.partition(":")[2]

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; the figures are those of all ranks already."""
        figures = subject.figures
        for name in (f"val_{self.metric}", self.metric):
            if name in figures:
                return ObjectiveValue(float(figures[name]))
        known = {name.removeprefix("val_") for name in figures}
        raise InputError(
            f"unknown metric {suggest(self.metric, known)}, or its value is no finite number"
        )
