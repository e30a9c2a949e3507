"""The record of a disentangled network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.evaluation import Mistakes, PathHits, PathPredictions
from xnas_tf.interpretation.nad.paths import Paths
from xnas_tf.interpretation.nad.training import MaskTrainingOptions
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.training.chance_level import Accuracy


@dataclass(frozen=True)
class DisentanglementData:
    """The paths of K classes through L layers of a network, with all metrics.

    Undefined values (hits of an empty mask, accuracy of a class without images) are NaN here,
    and null in JSON.

    Attributes:
        paths: The masks and their similarity.
        plain: Predictions of the network without masks.
        soft: Predictions with soft masks.
        hard: Predictions with masks of 0 and 1.
        confusion: Mean probability of class j on images of class i, without masks, (K, K).
        hits: Path hits; None if no collages could be made.
        mistakes: Held-out images that the network misclassifies.
        lesson: How the masks were learned.
        left_out: Why a class has no path, by its name.
        images: The number of images of each split that were used, by its name.
        input_range: The range of the network's inputs; None if unknown.
        accuracy: Accuracy on the test split, over all classes; None if unknown.
    """

    paths: Paths
    plain: PathPredictions
    soft: PathPredictions
    hard: PathPredictions
    confusion: np.ndarray
    hits: PathHits | None
    mistakes: Mistakes
    lesson: MaskTrainingOptions
    left_out: dict[str, str] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    input_range: InputRange | None = None
    accuracy: Accuracy | None = None

    @property
    def diversity(self) -> float:
        """The network's interpretability score, in [0, 2]; see ``Paths.diversity``."""
        return self.paths.diversity

    def rank_correlation(self, place: int | None = None) -> float:
        """Compute Spearman's correlation of similarity and confusion over pairs of classes.

        Only pairs with the class of index ``place`` count, if given. NaN if similarity or
        confusion is constant.
        """
        chosen = ~np.eye(len(self.confusion), dtype=bool)
        if place is not None:
            chosen[np.arange(len(chosen)) != place] = False
        return metrics.rank_correlation(self.paths.similarity[chosen], self.confusion[chosen])
