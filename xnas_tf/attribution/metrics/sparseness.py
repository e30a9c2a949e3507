"""Sparseness: how few pixels a map is concentrated on."""

from __future__ import annotations

import numpy as np


def sparseness(maps: np.ndarray) -> np.ndarray:
    """Compute the Gini index of the absolute attributions.

    Hurley & Rickard 2009 (IEEE Transactions on Information Theory 55); applied to attributions
    by Chalasani et al. 2020 (arXiv 1810.06583).

    Args:
        maps: (N, H, W).

    Returns:
        (N,), float64: 0 where all pixels have the same magnitude, and 1 - 1 / (H W) where only
        one pixel is not 0.
    """
    pixels = int(np.prod(maps.shape[1:]))
    ascending = np.sort(np.abs(maps).reshape(len(maps), pixels), axis=1).astype(np.float64)
    total = ascending.sum(axis=1)
    smaller = (pixels - np.arange(1, pixels + 1) + 0.5) / pixels
    shares = np.divide(
        ascending,
        total[:, None],
        where=total[:, None] != 0,
        out=np.full(ascending.shape, 1 / pixels),
    )
    return 1 - 2 * shares @ smaller
