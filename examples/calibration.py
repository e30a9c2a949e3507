"""An example of your own objective: see docs/how-to/objectives.md and configs/objective.yaml.

The objective measures how far a network's confidence is from its accuracy.
"""

import numpy as np
from pydantic import Field

from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject


class CalibrationError(Objective):
    """Expected calibration error, in [0, 1]; lower is better (Guo et al., arXiv 1706.04599).

    Images are sorted into bins by the probability of the predicted class. The error is the mean,
    over all images, of the difference between mean probability and accuracy in the image's bin.
    """

    bins: int = Field(10, ge=1, description="equal parts of [0, 1]")

    def score(self, subject: Subject) -> ObjectiveValue:
        """Measure one candidate. Each rank has a share of the images, so sums are added up."""
        confidence = subject.probabilities.max(axis=1)
        right = subject.predicted == subject.labels
        bins = np.minimum((confidence * self.bins).astype(int), self.bins - 1)
        sums = [np.bincount(bins, weights, self.bins) for weights in (confidence, right)]
        totals, count = subject.communicator.sum(np.array(sums), np.array([float(len(bins))]))
        surplus = (totals[0] - totals[1]) / count
        return ObjectiveValue(
            float(np.abs(surplus).sum()), {"overconfidence": float(surplus.sum())}
        )
