"""Distances of class means, all from the inner products of the class sums."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from xnas_tf.distributed import Communicator

Normalize = Literal["none", "layer"]


def mean_gram(gram: np.ndarray, counts: np.ndarray, normalize: Normalize) -> np.ndarray:
    """Inner products of a layer's class means; those of several layers are added up.

    Args:
        gram: Inner products of the layer's class sums, (..., classes, classes).
        counts: Images of each class, (..., classes).
        normalize: ``layer`` scales the layer so that the square norms of its class means sum
            to 1; ``none`` leaves it, so that large layers dominate the concatenation.

    Returns:
        (..., classes, classes).
    """
    scale = 1 / np.maximum(counts, 1)
    means = gram * scale[..., :, None] * scale[..., None, :]
    if normalize == "none":
        return means
    size = np.trace(means, axis1=-2, axis2=-1)[..., None, None]
    return np.divide(means, size, out=np.zeros_like(means), where=size != 0)


def distance_of(gram: np.ndarray, counts: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Weighted mean over pairs of classes of one minus the cosine of their means.

    Args:
        gram: Inner products of the class means, (classes, classes). A class's scale doesn't
            matter.
        counts: Images of each class, (classes,); classes without images don't count.
        weights: A weight for each pair, (classes, classes), symmetric; equal ones if None.

    Returns:
        A number in [0, 2]; 0 with fewer than two classes or no weight. A class whose mean is
        all zero has no direction, and its pairs count as 0: no explanation is no
        difference. NaN stays NaN.
    """
    present = counts > 0
    if not np.isfinite(gram).all():
        return float("nan")
    upper = np.triu_indices(np.count_nonzero(present), k=1)
    distances = pair_distances(gram[np.ix_(present, present)])[upper]
    pairs = np.ones(len(distances))
    if weights is not None:
        pairs = weights[np.ix_(present, present)][upper]
    total = pairs.sum()
    return float(pairs @ distances / total) if total > 0 else 0.0


def pair_distances(gram: np.ndarray) -> np.ndarray:
    """One minus the cosine of each two class means, (classes, classes); 0 where one is all zero.

    Args:
        gram: Inner products of the class means, (classes, classes).
    """
    scale = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    cosine = np.divide(gram, scale, out=np.ones_like(gram), where=scale > 0)
    return 1 - np.clip(cosine, -1, 1)


def what_is_degenerate(
    source: str, gram: np.ndarray, counts: np.ndarray, names: Sequence[str]
) -> list[str]:
    """What makes a distance mean less than it seems, in words; empty if nothing does."""
    present = np.flatnonzero(counts)
    if not np.isfinite(gram).all():
        return [f"{source}: not a finite number"]
    found = []
    if len(present) < 2:
        found.append("all images are of one class, so there are no pairs to compare: 0")
    if len(present) < len(counts):
        absent = ", ".join(names[c] for c in np.flatnonzero(counts == 0))
        found.append(f"no image is of class {absent}, left out of introspectability")
    if flat := [names[c] for c in present if gram[c, c] == 0]:
        found.append(f"{source}: the mean of class {', '.join(flat)} is all zero, counted as 0")
    return found


def resampled_distances(
    rows: Sequence[np.ndarray],
    members: np.ndarray,
    resamples: np.ndarray,
    communicator: Communicator,
    normalize: Normalize,
    weights: np.ndarray | None,
) -> np.ndarray:
    """The distance on resampled images: its spread is the standard error (Efron 1979).

    Args:
        rows: This rank's representations, a layer each, (N, d).
        members: 1 where an image is of a class, (N, classes).
        resamples: How often each resample takes each image, (resamples, N).
        communicator: The ranks; each adds its own images.
        normalize: See ``mean_gram``.
        weights: See ``distance_of``.

    Returns:
        The distances, (resamples,).
    """
    inside = members.T > 0
    times = [resamples[:, own].astype(np.float32) for own in inside]
    (counts,) = communicator.sum(resamples @ members)
    gram = np.zeros((len(resamples), members.shape[1], members.shape[1]))
    # Small products: BLAS' own threads wait for each other longer than they work, above all
    # beside TensorFlow's (4 s instead of 0.1 s for 36 layers and 5,000 images).
    with _libraries().limit(limits=1, user_api="blas"):
        for each in rows:  # a layer at a time: all at once would fill gigabytes
            layer = each.astype(np.float32)
            sums = [taken @ layer[own] for taken, own in zip(times, inside, strict=True)]
            (total,) = communicator.sum(np.stack(sums, axis=1).astype(np.float64))
            gram += mean_gram(total @ total.transpose(0, 2, 1), counts, normalize)
    return np.array([distance_of(g, c, weights) for g, c in zip(gram, counts, strict=True)])


@cache
def _libraries() -> ThreadpoolController:
    """Looking for those that the process has loaded, NumPy's BLAS among them, takes 5 ms."""
    return ThreadpoolController()
