"""Distances of class means, all from their inner products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

MissingClasses = Literal["zero", "ignore"]
NAMED = 5
"""Classes that a reason names, at most."""


@dataclass(frozen=True)
class ClassPairs:
    """Which pairs of classes are compared, and how much each counts.

    Attributes:
        counts: Images of each class, (classes,).
        min_images: Images that a class needs; with fewer it is missing.
        missing: A pair with a missing class counts as distance 0 (``zero``), or not at all
            (``ignore``).
        weights: A weight for each pair, (classes, classes), symmetric; equal ones if None.
    """

    counts: np.ndarray
    min_images: int = 1
    missing: MissingClasses = "ignore"
    weights: np.ndarray | None = None

    @property
    def present(self) -> np.ndarray:
        """Whether a class has enough images, (classes,)."""
        return self.counts >= self.min_images

    def distances(self, gram: np.ndarray) -> np.ndarray:
        """Distances of the class means, (..., classes, classes); 0 for missing classes.

        Args:
            gram: Inner products of the class means, (..., classes, classes).
        """
        both = np.outer(self.present, self.present)
        return np.where(both, pair_distances(gram), 0.0)

    def mean_distance(self, gram: np.ndarray) -> np.ndarray:
        """Weighted mean over pairs of classes of one minus the cosine of their means.

        Args:
            gram: Inner products of the class means, (..., classes, classes); see ``mean_gram``.
                A class's scale doesn't matter.

        Returns:
            (...): numbers of at most 2, and not below 0 but for what an unbiased estimate of 0
            varies by; 0 with fewer than two classes or no weight. NaN stays NaN.
        """
        upper = np.triu_indices(len(self.counts), k=1)
        shares = np.ones(len(upper[0])) if self.weights is None else self.weights[upper]
        if self.missing == "ignore":
            shares = shares * np.outer(self.present, self.present)[upper]
        total = shares.sum()
        mean = self.distances(gram)[..., upper[0], upper[1]] @ shares / (total if total > 0 else 1)
        return np.where(np.isfinite(gram).all(axis=(-2, -1)), mean, np.nan)

    def what_is_missing(self, names: Sequence[str]) -> list[str]:
        """What the pairs leave out, in words; empty if nothing.

        Args:
            names: Names of the classes.
        """
        found = []
        if np.count_nonzero(self.present) < 2:
            found.append(
                "all images are of one class, so there are no pairs to compare: 0"
                if np.count_nonzero(self.counts) < 2
                else f"fewer than two classes have {self.min_images} images: 0"
            )
        done = "its pairs count as 0" if self.missing == "zero" else "left out of introspectability"
        if absent := _listed(names, self.counts == 0):
            found.append(f"no image is of class {absent}, {done}")
        if few := _listed(names, ~self.present & (self.counts > 0)):
            found.append(f"fewer than {self.min_images} images are of class {few}, {done}")
        return found


def pair_distances(gram: np.ndarray) -> np.ndarray:
    """One minus the cosine of each two class means; 0 where one has no direction.

    Args:
        gram: Inner products of the class means, (..., classes, classes). The diagonal may be
            free of noise, 0 for a class without a direction; see ``mean_gram``.

    Returns:
        (..., classes, classes), 0 on the diagonal. An unbiased estimate of the distance 0 varies
        around it: such values are not cut off at 0, which would make noise a distance, but at
        -2, as far below 0 as a distance can be above.
    """
    lengths = np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0))
    scale = lengths[..., :, None] * lengths[..., None, :]
    cosine = np.divide(gram, scale, out=np.ones(gram.shape), where=scale > 0)
    distances = 1 - np.clip(cosine, -1, 3)
    return np.where(np.abs(distances) < 1e-12, 0.0, distances)  # rounding


def what_is_degenerate(
    source: str, gram: np.ndarray, names: Sequence[str], present: np.ndarray
) -> list[str]:
    """What makes a source's distance mean less than it seems, in words; empty if nothing does.

    Args:
        source: The source.
        gram: Inner products of its class means, (classes, classes); see ``mean_gram``.
        names: Names of the classes.
        present: Whether a class has enough images, (classes,).
    """
    if not np.isfinite(gram).all():
        return [f"{source}: not a finite number"]
    if flat := _listed(names, present & (np.diag(gram) <= 0)):
        return [f"{source}: the mean of class {flat} is zero or lost in noise, counted as 0"]
    return []


def _listed(names: Sequence[str], which: np.ndarray) -> str:
    """The names of some classes, not all of many."""
    found = [names[c] for c in np.flatnonzero(which)]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
