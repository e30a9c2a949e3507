"""Objectives of performance."""

from __future__ import annotations

from typing import Literal

import numpy as np

from xnas_tf.objectives.base import Objective, Score, Subject


class Error(Objective):
    """Share of validation images that are classified wrongly, in [0, 1]."""

    name: Literal["error"] = "error"

    def score(self, subject: Subject) -> Score:
        """See ``Objective.score``; counts are summed over the ranks, then divided."""
        wrong = np.count_nonzero(subject.predicted != subject.labels)
        (counts,) = subject.communicator.sum(np.array([wrong, len(subject.labels)], np.float64))
        return Score(float(counts[0] / counts[1]))
