"""An objective of one's own: see docs/how-to/objectives.md and configs/objective.yaml.

How far a network's confidence is from how often it is right.
"""

import numpy as np
from pydantic import Field

from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject


class CalibrationError(Objective):
    """Expected calibration error, in [0, 1]; less is better (Guo et al., arXiv 1706.04599).

    Images are put into bins by the probability of the predicted class. The error is the mean
    over the images of the distance, in their bin, between mean probability and accuracy.
    """

    bins: int = Field(10, ge=1, description="equal parts of [0, 1]")

    def score(self, subject: Subject) -> ObjectiveValue:
        """Measures one candidate. Each rank has a share of the images: sums are added up."""
        confidence = subject.probabilities.max(axis=1)
        right = subject.predicted == subject.labels
        bins = np.minimum((confidence * self.bins).astype(int), self.bins - 1)
        sums = [np.bincount(bins, weights, self.bins) for weights in (confidence, right)]
        totals, count = subject.communicator.sum(np.array(sums), np.array([float(len(bins))]))
        surplus = (totals[0] - totals[1]) / count
        return ObjectiveValue(
            float(np.abs(surplus).sum()), {"overconfidence": float(surplus.sum())}
        )
