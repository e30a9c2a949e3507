"""Metrics of masks, computed with NumPy: similarity, diversity, path hits, rank correlation.

Undefined values are NaN here; ``files.facts`` writes them as null.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import hypergeom, rankdata


def jaccard(masks: np.ndarray) -> np.ndarray:
    """Compute the Jaccard index of each pair of masks (arXiv 2003.13268, similarity of a layer).

    Args:
        masks: (K, C), bool.

    Returns:
        (K, K) in [0, 1]; 1 for two empty masks, which are the same mask.
    """
    numbers = masks.astype(np.float64)
    both = numbers @ numbers.T
    sizes = numbers.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - both
    return np.where(either > 0, both / np.where(either > 0, either, 1), 1.0)


def expected_jaccard(sizes: np.ndarray, channels: int) -> np.ndarray:
    """Compute the exact expected Jaccard index of two random masks of given sizes.

    If the masks keep a and b of C channels, the number I of common channels is hypergeometric,
    and the index is I / (a + b - I).

    Args:
        sizes: The number of channels that each mask keeps, (K,).
        channels: C.

    Returns:
        (K, K) in [0, 1]; 1 for two empty masks, which are the same mask.
    """
    unique, places = np.unique(sizes, return_inverse=True)
    both = np.arange(channels + 1)
    table = np.ones((len(unique), len(unique)))
    for row, size in enumerate(unique):
        # A union is empty only if both masks are; their entry is set below.
        either = np.maximum(size + unique[:, None] - both, 1)
        probabilities = hypergeom.pmf(both, channels, size, unique[:, None])
        table[row] = (probabilities * both / either).sum(axis=1)
    table[(unique[:, None] == 0) & (unique == 0)] = 1
    table = np.clip((table + table.T) / 2, 0, 1)  # symmetric but for rounding
    return table[places][:, places]


def corrected_jaccard(masks: np.ndarray) -> np.ndarray:
    """Compute the Jaccard index corrected for chance: (J - E[J]) / (1 - E[J]).

    It is 1 for equal masks, 0 for masks as similar as random masks of the same sizes, and
    negative for masks that share fewer channels than those. If one of two masks is empty or
    full, the index depends on the sizes alone. The pair then counts as 1, since a mask that
    keeps everything does not distinguish a class.

    Args:
        masks: (K, C), bool.

    Returns:
        (K, K) in [-1, 1].
    """
    channels = masks.shape[1]
    sizes = masks.sum(axis=1)
    is_partial = (sizes > 0) & (sizes < channels)
    both = is_partial[:, None] & is_partial
    expected = np.where(both, expected_jaccard(sizes, channels), 0)
    return np.where(both, (jaccard(masks) - expected) / (1 - expected), 1.0)


def diversity(similar: np.ndarray) -> float:
    """Compute one minus the mean similarity of two classes.

    Args:
        similar: Similarities of classes, (K, K), K at least 2.

    Returns:
        0 if all paths are the same. For uncorrected similarities, a value in [0, 1], which is 1
        if no two paths share a channel. For corrected ones, a value in [0, 2], which is 1 if
        paths are as different as random paths of the same sizes.
    """
    pairs = np.triu_indices(len(similar), k=1)
    return float(1 - similar[pairs].mean())


def hit_rates(maps: np.ndarray, inside: np.ndarray, share: float) -> np.ndarray:
    """Compute the share of each map's strongest pixels that lies inside a region.

    Pixels that tie for the last ranks share them, so that a constant map scores as chance does.

    Args:
        maps: (N, H, W).
        inside: The regions, (N, H, W), bool.
        share: The share of pixels that count as strongest; at least one pixel does.

    Returns:
        (N,) in [0, 1].
    """
    flat, regions = maps.reshape(len(maps), -1), inside.reshape(len(maps), -1)
    count = max(1, round(share * flat.shape[1]))
    threshold = -np.partition(-flat, count - 1, axis=1)[:, count - 1 : count]
    above, tied = flat > threshold, flat == threshold
    hits = (above & regions).sum(axis=1)
    left = count - above.sum(axis=1)
    return (hits + left * (tied & regions).sum(axis=1) / tied.sum(axis=1)) / count


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's rank correlation; NaN if a series is constant or too short."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def decided(probabilities: np.ndarray) -> np.ndarray:
    """Return the class of the highest probability, (N,); -1 if several classes share it.

    A path that is blocked gives all classes the same probability, which is no prediction of the
    first class.

    Args:
        probabilities: (N, classes).
    """
    best = probabilities.max(axis=1, keepdims=True)
    is_unique = (probabilities == best).sum(axis=1) == 1
    return np.where(is_unique, probabilities.argmax(axis=1), -1)


def confusions(probabilities: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Compute the mean probability of class j on images of class i, (K, K).

    Args:
        probabilities: Those of the network without masks, (N, classes).
        labels: The true classes, (N,).
        classes: The K classes compared.
    """
    means = np.full((len(classes), len(classes)), np.nan)
    for row, number in enumerate(classes):
        if (labels == number).any():
            means[row] = probabilities[labels == number][:, classes].mean(axis=0)
    return means


def others_by(values: np.ndarray, own: int, count: int = 3) -> list[int]:
    """Return the indices of the ``count`` largest values except ``own``, the largest first."""
    order = np.argsort(-values, kind="stable")
    return [int(index) for index in order if index != own][:count]


def path_agreement(energies: np.ndarray, usual: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Compute how strongly images activate a path's channels, compared with all channels.

    The energy of each channel is divided by its mean over many images, as some channels are
    always strong. The result is 1 if the path's channels are activated as strongly as all
    channels, and 2 if twice as strongly.

    Args:
        energies: The energy of each channel for each image, (N, C).
        usual: The means over many images, (C,).
        path: The mask, (C,), bool.

    Returns:
        (N,); NaN if the path is empty or nothing is activated.
    """
    active = usual > 0
    relative = energies[:, active] / usual[active]
    if not (path & active).any():
        return np.full(len(energies), np.nan)
    mean = relative.mean(axis=1)
    own = relative[:, path[active]].mean(axis=1)
    return np.where(mean > 0, own / np.where(mean > 0, mean, 1), np.nan)
