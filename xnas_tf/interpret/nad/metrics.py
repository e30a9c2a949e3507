"""What masks say, as plain numbers: similarity, diversity, path hits, agreement of ranks.

Values that are not defined are NaN here; ``saving.facts`` writes them as null.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def similarity(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the layers of the Jaccard index of two classes' masks, (K, K)."""
    return np.mean([jaccard(layer) for layer in masks], axis=0)


def diversity(similar: np.ndarray) -> float:
    """One minus the mean similarity of two classes, in [0, 1]: 1 where no two share a channel.

    Args:
        similar: (K, K), K at least 2.
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
