"""What a disentangled network consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.evaluation import Mistakes, PathHits, PathPredictions, Paths
from xnas_tf.interpretation.nad.training import Lesson
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.training.accuracy import Accuracy


@dataclass(frozen=True)
class DisentanglementData:
    """The paths of K classes through L layers of a network, with all figures.

    What is not defined (hits of an empty mask, accuracy of a class without images) is NaN
    here, and null in the JSON.

    Attributes:
        paths: The masks and their similarity.
        plain: PathPredictions of the network without masks.
        soft: PathPredictions with soft masks on.
        hard: PathPredictions with masks of 0 and 1.
        confusion: Mean probability of class j on images of class i, without masks, (K, K).
        hits: Path hits; None where no collages could be made.
        mistakes: Held-out images that the network gets wrong.
        lesson: How the masks were learned.
        left_out: Why a class has no path, by its name.
        images: How many images were learned from, judged on and measured on.
        input_range: The values that the network was given; None if it is not known.
        accuracy: How often it is right about the test part, all classes; None if not known.
    """

    paths: Paths
    plain: PathPredictions
    soft: PathPredictions
    hard: PathPredictions
    confusion: np.ndarray
    hits: PathHits | None
    mistakes: Mistakes
    lesson: Lesson
    left_out: dict[str, str] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    input_range: InputRange | None = None
    accuracy: Accuracy | None = None

    @property
    def diversity(self) -> float:
        """The network's interpretability score, in [0, 2]; see ``Paths.diversity``."""
        return self.paths.diversity

    def rank_correlation(self, place: int | None = None) -> float:
        """Spearman's coefficient of similarity and confusion over pairs of different classes.

        Args:
            place: One class, compared with all others; all pairs if None.

        Returns:
            In [-1, 1]; NaN where one of the two is constant.
        """
        rows = [place] if place is not None else range(len(self.confusion))
        pairs = np.array([(i, j) for i in rows for j in range(len(self.confusion)) if i != j])
        chosen = tuple(pairs.T)
        return metrics.rank_correlation(self.paths.similarity[chosen], self.confusion[chosen])
