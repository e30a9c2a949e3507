"""Metrics of masks, computed with NumPy: similarity, diversity, path hits and rank correlation.

Undefined values are NaN here; ``disentanglement.facts`` writes them as null.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import hypergeom, rankdata

NEAREST = 3
"""Number of other classes to list as the most similar to a class."""


def defined_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Compute the mean of the finite values; return NaN without a warning if there are none."""
    return np.ma.filled(np.ma.masked_invalid(values).mean(axis), np.nan)


def defined_deviation(values: np.ndarray, axis: int) -> np.ndarray:
    """Compute the standard deviation of the finite values; NaN if there are none."""
    return np.ma.filled(np.ma.masked_invalid(values).std(axis), np.nan)


def jaccard(masks: np.ndarray) -> np.ndarray:
    """Compute the Jaccard index of each pair of masks (a layer's similarity in arXiv 2003.13268).

    The masks are (K, C), bool; the result is (K, K), in [0, 1]. The index of two empty masks is 1.
    """
    numbers = masks.astype(np.float64)
    both = numbers @ numbers.T
    sizes = numbers.sum(axis=1)
    either = sizes[:, None] + sizes - both
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def expected_jaccard(sizes: np.ndarray, channels: int) -> np.ndarray:
    """Compute the exact expected Jaccard index (K, K) of random masks of the given sizes (K,).

    If two masks keep a and b of C channels, the number I of shared channels has a hypergeometric
    distribution, and the Jaccard index is I / (a + b - I).
    """
    unique, places = np.unique(sizes, return_inverse=True)
    both = np.arange(channels + 1)
    table = np.ones((len(unique), len(unique)))
    for row, size in enumerate(unique):
        # A union is empty only if both masks are empty; their entry is set below.
        either = np.maximum(size + unique[:, None] - both, 1)
        probabilities = hypergeom.pmf(both, channels, size, unique[:, None])
        table[row] = (probabilities * both / either).sum(axis=1)
    table[(unique[:, None] == 0) & (unique == 0)] = 1
    table = np.clip((table + table.T) / 2, 0, 1)  # symmetric up to rounding
    return table[places][:, places]


def corrected_jaccard(masks: np.ndarray) -> np.ndarray:
    """Compute the Jaccard index corrected for chance: (J - E[J]) / (1 - E[J]).

    The masks are (K, C), bool. The result (K, K), in [-1, 1], is 1 for equal masks, 0 for masks
    that are as similar as random masks of the same sizes, and negative for masks that share fewer
    channels. If one of two masks is empty or full, the Jaccard index depends only on the sizes.
    Such a pair counts as 1, because a mask that keeps everything does not distinguish a class.
    """
    channels = masks.shape[1]
    sizes = masks.sum(axis=1)
    is_partial = (sizes > 0) & (sizes < channels)
    both = is_partial[:, None] & is_partial
    expected = np.where(both, expected_jaccard(sizes, channels), 0)
    return np.where(both, (jaccard(masks) - expected) / (1 - expected), 1.0)


def mean_of_pairs(similarity: np.ndarray) -> float:
    """Compute the mean of similarities (K, K) over all pairs of different classes."""
    pairs = np.triu_indices(len(similarity), k=1)
    return float(similarity[pairs].mean())


def hit_rates(maps: np.ndarray, inside: np.ndarray, share: float) -> np.ndarray:
    """Compute the share of each map's strongest pixels (at least one) that lie inside a region.

    The maps and the regions are (N, H, W). Pixels tied for the last ranks share these ranks, so
    that a constant map scores at chance level.
    """
    flat, regions = maps.reshape(len(maps), -1), inside.reshape(len(maps), -1)
    count = max(1, round(share * flat.shape[1]))
    threshold = -np.partition(-flat, count - 1, axis=1)[:, count - 1 : count]
    above, tied = flat > threshold, flat == threshold
    hits = (above & regions).sum(axis=1)
    left = count - above.sum(axis=1)
    return (hits + left * (tied & regions).sum(axis=1) / tied.sum(axis=1)) / count


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's rank correlation of the pairs without NaN.

    The result is NaN if a series is constant or too short.
    """
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def decided(probabilities: np.ndarray) -> np.ndarray:
    """Return the class with the highest probability, (N,), or -1 if several classes tie.

    A blocked path gives all classes the same probability, which must not count as predicting the
    first class.
    """
    best = probabilities.max(axis=1, keepdims=True)
    is_unique = (probabilities == best).sum(axis=1) == 1
    return np.where(is_unique, probabilities.argmax(axis=1), -1)


def confusions(probabilities: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Compute class j's mean probability on images of class i, (K, K); NaN without such images."""
    return np.stack([defined_mean(probabilities[labels == c][:, classes], 0) for c in classes])


def others_by(values: np.ndarray, own: int, count: int = NEAREST) -> list[int]:
    """Return the indices of the ``count`` largest values, largest first, leaving out ``own``."""
    order = np.argsort(-values, kind="stable")
    return [int(index) for index in order if index != own][:count]


def nearest_share(values: np.ndarray, index: int, count: int = NEAREST) -> float:
    """Compute the probability that an index is among those of the ``count`` largest values.

    It is 0 or 1 unless several values share the last place, between which chance decides.
    """
    values = values.round(9)  # means over layers differ in the order of their terms
    above, equal = (values > values[index]).sum(), (values == values[index]).sum()
    return float(np.clip((count - above) / equal, 0, 1))


def path_agreement(energies: np.ndarray, usual: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Compute how strongly images activate a path's channels compared with all channels.

    Each channel's energy is divided by its mean over many images, because some channels are always
    strong. The result is 1 if the path's channels are activated as strongly as all channels, 2 if
    twice as strongly, and NaN if the path is empty or no channel is activated.

    Args:
        energies: Each channel's energy for each image, (N, C).
        usual: Each channel's mean energy over many images, (C,).
        path: Whether each channel is on each image's path, (N, C) or, for all images, (C,).
    """
    relative = energies / np.where(usual > 0, usual, np.nan)
    own = np.where(path, relative, np.nan)
    mean = defined_mean(relative, axis=1)
    return defined_mean(own, axis=1) / np.where(mean > 0, mean, np.nan)
