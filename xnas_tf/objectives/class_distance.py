"""Distances between the class means of a representation, from inner products of the means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Literal

import numpy as np

from xnas_tf.objectives.class_gram import ClassSums

if TYPE_CHECKING:
    from xnas_tf.attribution.activations import LayerActivations

MissingClasses = Literal["zero", "ignore"]
Weighting = Literal["normalized", "paper"]
MAX_NAMES = 5
"""Maximum number of classes to list in a message."""


@dataclass(frozen=True)
class ClassPairs:
    """The pairs of classes to compare, with their weights.

    Attributes:
        counts: Number of images per class, (classes,).
        min_images: Minimum number of images per class; a class with fewer images counts as missing.
        missing: Whether a pair that includes a missing class has distance 0 (``zero``) or is
            excluded (``ignore``).
        weights: A symmetric matrix with each pair's weight, (classes, classes); if None, all
            weights are equal.
        weighting: Whether the weighted sum of the distances is divided by the sum of the weights
            (``normalized``) or by the number of pairs (``paper``).
    """

    counts: np.ndarray
    min_images: int = 1
    missing: MissingClasses = "ignore"
    weights: np.ndarray | None = None
    weighting: Weighting = "normalized"

    @property
    def present(self) -> np.ndarray:
        """Whether each class has enough images, (classes,)."""
        return self.counts >= self.min_images

    def distances(self, gram: np.ndarray) -> np.ndarray:
        """Return distances between class means, (..., classes, classes), 0 for missing classes."""
        return np.where(np.outer(self.present, self.present), _pair_distances(gram), 0.0)

    def mean_distance(self, gram: np.ndarray) -> np.ndarray:
        """Return the weighted mean distance over pairs of classes, (...), in [0, 2].

        The distance between two class means is one minus their cosine; the scale of a mean has no
        effect. ``gram`` contains the means' inner products, (..., classes, classes); see
        ``mean_gram``. With ``weighting: paper``, the result is multiplied by the mean weight. If
        the true mean is 0, an unbiased estimate may be slightly negative. The result is 0 if there
        are fewer than two classes or all weights are 0. NaN is propagated.
        """
        upper = np.triu_indices(len(self.counts), k=1)
        pairs = np.ones(len(upper[0]))
        if self.missing == "ignore":
            pairs = np.outer(self.present, self.present)[upper].astype(float)
        weights = pairs if self.weights is None else pairs * self.weights[upper]
        total = (weights if self.weighting == "normalized" else pairs).sum()
        mean = self.distances(gram)[..., upper[0], upper[1]] @ weights / (total if total > 0 else 1)
        return np.where(np.isfinite(gram).all(axis=(-2, -1)), mean, np.nan)

    def missing_reasons(self, names: Sequence[str], is_predicted: bool) -> list[str]:
        """Return messages about missing classes among the predicted or the true ones."""
        of = "predicted as" if is_predicted else "of"
        if np.count_nonzero(self.counts) < 2:
            return [f"all images are {of} one class, so there are no pairs to compare: 0"]
        reasons = []
        if np.count_nonzero(self.present) < 2:
            such = " predicted as them" if is_predicted else ""
            reasons.append(f"fewer than two classes have {self.min_images} images{such}: 0")
        note = "count as 0" if self.missing == "zero" else "are left out"
        if absent := _listed(names, self.counts == 0, "or"):
            reasons.append(f"no image is {of} class {absent}, whose pairs {note}")
        if few := _listed(names, ~self.present & (self.counts > 0), "or"):
            least = self.min_images
            reasons.append(f"fewer than {least} images are {of} class {few}, whose pairs {note}")
        return reasons

    def degenerate_reasons(self, gram: np.ndarray, names: Sequence[str]) -> list[str]:
        """Return messages about class means that have no direction or aren't finite."""
        if not np.isfinite(gram).all():
            return ["not a finite number"]
        is_zero = self.present & (np.diag(gram) <= 0)
        if zero := _listed(names, is_zero, "and"):
            subject = f"means of {zero} are" if is_zero.sum() > 1 else f"mean of {zero} is"
            return [f"the class {subject} zero or lost in noise: pairs with them count as 0"]
        return []


@dataclass(frozen=True)
class ChosenImages:
    """The images (N, H, W, C) that this rank uses, and how their classes are compared.

    ``groups`` are the images' classes, (N,), and ``resamples`` their weights, (resamples, N). The
    counts of ``pairs`` are over all ranks.
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


def _pair_distances(gram: np.ndarray) -> np.ndarray:
    """Return one minus the cosine for each pair of class means; 0 if a mean has no direction.

    Unbiased estimates of a zero distance may be negative. The estimates are clipped at -2, the
    negative of the largest distance, because clipping at 0 would turn noise into positive
    distances.
    """
    lengths = np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0))
    scale = lengths[..., :, None] * lengths[..., None, :]
    cosine = np.divide(gram, scale, out=np.ones(gram.shape), where=scale > 0)
    distances = 1 - np.clip(cosine, -1, 3)
    return np.where(np.abs(distances) < 1e-12, 0.0, distances)  # rounding


def _listed(names: Sequence[str], which: np.ndarray, word: str) -> str:
    """Join the selected names with ``and`` or ``or``, listing at most ``MAX_NAMES``."""
    selected = list(compress(names, which))
    if len(selected) > MAX_NAMES:
        selected[MAX_NAMES:] = [f"{len(selected) - MAX_NAMES} more"]
    *first, last = selected or [""]
    return f"{', '.join(first)} {word} {last}" if first else last
