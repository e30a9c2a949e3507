"""The images used to compute introspectability, and each class's mean representation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.objectives.class_distance import ClassPairs
from xnas_tf.objectives.class_gram import ClassSums

if TYPE_CHECKING:
    from xnas_tf.attribution.activations import LayerActivations


@dataclass(frozen=True)
class ChosenImages:
    """The images that this rank uses, and how their classes are compared.

    Attributes:
        images: Images, (N, H, W, C).
        groups: Each image's class, (N,).
        resamples: The images' weights in each resample, (resamples, N).
        pairs: The pairs of classes, with each class's number of images over all ranks.
    """

    images: np.ndarray
    groups: np.ndarray
    resamples: np.ndarray
    pairs: ClassPairs


@dataclass(frozen=True)
class ClassMeans:
    """The class means of one representation source, over all ranks.

    Attributes:
        source: The source of the representation.
        layers: This rank's layers of the representation.
        sums: Sums of the representation over each class's images, (classes, D) for each layer.
        chosen: This rank's images, and the pairs of classes.
        totals: Inner products of the sums in each layer.
        gram: Inner products of the class means, (classes, classes); see ``mean_gram``.
    """

    source: str
    layers: list[LayerActivations]
    sums: list[np.ndarray]
    chosen: ChosenImages
    totals: list[ClassSums]
    gram: np.ndarray

    @property
    def distances(self) -> np.ndarray:
        """Distances between the class means, (classes, classes); 0 for missing classes."""
        return self.chosen.pairs.distances(self.gram)

    @property
    def value(self) -> float:
        """The mean distance, which is the source's value."""
        return float(self.chosen.pairs.mean_distance(self.gram))
