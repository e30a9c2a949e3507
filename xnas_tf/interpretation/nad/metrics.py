"""What masks say, as plain numbers: similarity, diversity, path hits, agreement of ranks.

Values that are not defined are NaN here; ``saving.facts`` writes them as null.
"""

from __future__ import annotations

import numpy as np


def jaccard(masks: np.ndarray) -> np.ndarray:
    """Jaccard index of each pair of masks (arXiv 2003.13268, similarity of a layer).

    Args:
        masks: (K, C), bool.

    Returns:
        (K, K) in [0, 1]; two empty masks are the same mask: 1.
    """
    wide = masks.astype(np.float64)
    both = wide @ wide.T
    sizes = wide.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - both
    return np.where(either > 0, both / np.where(either > 0, either, 1), 1.0)


def expected_jaccard(sizes: np.ndarray, channels: int) -> np.ndarray:
    """Expected Jaccard index of two random masks of given sizes, exactly.

    Of a and b out of C channels, the number I that both masks keep is hypergeometric, and the
    index is I / (a + b - I).

    Args:
        sizes: How many channels each mask keeps, (K,).
        channels: C.

    Returns:
        (K, K) in [0, 1]; two empty masks are the same mask: 1.
    """
    from scipy.stats import hypergeom

    unique, places = np.unique(sizes, return_inverse=True)
    both = np.arange(channels + 1)
    table = np.ones((len(unique), len(unique)))
    for row, size in enumerate(unique):
        # A union is empty only where both masks are, and then nothing is divided.
        either = np.maximum(size + unique[:, None] - both, 1)
        likely = hypergeom.pmf(both, channels, size, unique[:, None])
        table[row] = (likely * both / either).sum(axis=1)
    table[(unique[:, None] == 0) & (unique == 0)] = 1
    table = np.clip((table + table.T) / 2, 0, 1)  # rounding is not the same both ways
    return table[places][:, places]


def corrected_jaccard(masks: np.ndarray) -> np.ndarray:
    """Jaccard index corrected for chance: (J - E[J]) / (1 - E[J]).

    1: the same mask; 0: as similar as random masks of these sizes; less: they share fewer
    channels than those. Where one of two masks is empty or full, the index is what its size
    makes it, for random masks as well. So it says nothing, and the pair counts as 1: a mask
    that leaves everything on does not tell a class apart.

    Args:
        masks: (K, C), bool.

    Returns:
        (K, K) in [-1, 1].
    """
    channels = masks.shape[1]
    sizes = masks.sum(axis=1)
    is_telling = (sizes > 0) & (sizes < channels)
    both = is_telling[:, None] & is_telling
    expected = np.where(both, expected_jaccard(sizes, channels), 0)
    return np.where(both, (jaccard(masks) - expected) / (1 - expected), 1.0)


def diversity(similar: np.ndarray) -> float:
    """One minus the mean similarity of two classes.

    Args:
        similar: (K, K), K at least 2.

    Returns:
        0 where all paths are the same. Of uncorrected similarities in [0, 1], 1 where no two
        paths share a channel; of corrected ones in [0, 2], 1 where paths are as different as
        random ones of the same sizes.
    """
    pairs = np.triu_indices(len(similar), k=1)
    return float(1 - similar[pairs].mean())


def hit_rates(maps: np.ndarray, inside: np.ndarray, share: float) -> np.ndarray:
    """How much of each map's strongest pixels lies inside a region.

    Pixels that tie for the last places share them, so that a flat map hits as often as chance.

    Args:
        maps: (N, H, W).
        inside: The regions, (N, H, W), bool.
        share: Of the pixels, how many count as strongest; at least one does.

    Returns:
        (N,) in [0, 1].
    """
    flat, regions = maps.reshape(len(maps), -1), inside.reshape(len(maps), -1)
    count = max(1, round(share * flat.shape[1]))
    least = -np.partition(-flat, count - 1, axis=1)[:, count - 1 : count]
    above, level = flat > least, flat == least
    sure = (above & regions).sum(axis=1)
    left = count - above.sum(axis=1)
    return (sure + left * (level & regions).sum(axis=1) / level.sum(axis=1)) / count


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's coefficient of two series; NaN where one of them is constant or too short."""
    from scipy.stats import rankdata

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def decided(probabilities: np.ndarray) -> np.ndarray:
    """The class of the highest probability, (N,); -1 where several classes share it.

    A path that nothing passes through gives all classes the same probability. That is no answer,
    and least of all one for the first class.

    Args:
        probabilities: (N, classes).
    """
    best = probabilities.max(axis=1, keepdims=True)
    is_sure = (probabilities == best).sum(axis=1) == 1
    return np.where(is_sure, probabilities.argmax(axis=1), -1)


def confusions(probabilities: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Mean probability that a network gives class j on images of class i, (K, K).

    Args:
        probabilities: (N, classes) of the network without masks.
        labels: The true classes, (N,).
        classes: The K classes compared.
    """
    means = np.full((len(classes), len(classes)), np.nan)
    for row, number in enumerate(classes):
        if (labels == number).any():
            means[row] = probabilities[labels == number][:, classes].mean(axis=0)
    return means


def others_by(values: np.ndarray, own: int, count: int = 3) -> list[int]:
    """The places of the ``count`` largest values but ``own``, the largest first."""
    order = np.argsort(-values, kind="stable")
    return [int(place) for place in order if place != own][:count]


def path_agreement(energies: np.ndarray, usual: np.ndarray, path: np.ndarray) -> np.ndarray:
    """How much more than usual images excite a path's channels, compared with all channels.

    The energy of each channel is taken relative to its mean over many images, as some channels
    are always strong. 1: the path's channels are excited as all others are; 2: twice as much.

    Args:
        energies: Of each image and channel, (N, C).
        usual: Their means over many images, (C,).
        path: The mask, (C,), bool.

    Returns:
        (N,); NaN where the path is empty or nothing is excited.
    """
    alive = usual > 0
    relative = energies[:, alive] / usual[alive]
    mean = relative.mean(axis=1) if alive.any() else np.zeros(len(energies))
    if not (path & alive).any():
        return np.full(len(energies), np.nan)
    own = relative[:, path[alive]].mean(axis=1)
    return np.where(mean > 0, own / np.where(mean > 0, mean, 1), np.nan)
