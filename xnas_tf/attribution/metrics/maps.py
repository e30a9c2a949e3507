"""Metrics that need only the maps: sparseness, and localization inside a mask of the object."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from xnas_tf.errors import InputError

FLAT = 0.1
"""Values of a flat map differ by less than this share of the map's largest magnitude."""


def is_empty(maps: np.ndarray) -> np.ndarray:
    """Return whether each map (N, H, W) is all zeros, (N,), as Grad-CAM's may be."""
    return ~np.any(maps, axis=(1, 2))


def is_flat(maps: np.ndarray) -> np.ndarray:
    """Return whether each map (N, H, W) rates all pixels about equally, (N,); empty maps do not.

    All values of a flat map differ by less than a tenth of the largest magnitude.
    """
    spread = np.ptp(maps, axis=(1, 2))
    return ~is_empty(maps) & (spread < FLAT * np.abs(maps).max(axis=(1, 2)))


def random_maps(shape: tuple[int, ...]) -> np.ndarray:
    """Return maps (N, H, W) of independent uniform values, always the same for a shape.

    A method whose maps are no better than these shows nothing about the model.
    """
    return np.random.default_rng(0).random(shape, np.float32)


def sparseness(maps: np.ndarray) -> np.ndarray:
    """Compute the Gini index (N,), float64, of the absolute attributions of maps (N, H, W).

    The index is 0 where all pixels have the same magnitude, and 1 - 1 / (H W) where only one pixel
    is not 0. See Hurley & Rickard 2009 (IEEE Transactions on Information Theory 55). Chalasani et
    al. 2020 (arXiv 1810.06583) applied the index to attributions.
    """
    pixels = int(np.prod(maps.shape[1:]))
    ascending = np.sort(np.abs(maps).reshape(len(maps), pixels), axis=1).astype(np.float64)
    total = ascending.sum(axis=1, keepdims=True)
    smaller = (pixels - np.arange(1, pixels + 1) + 0.5) / pixels
    equal_shares = np.full(ascending.shape, 1 / pixels)
    shares = np.divide(ascending, total, where=total != 0, out=equal_shares)
    return 1 - 2 * shares @ smaller


def attribution_mass(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Compute the share (N,), in [0, 1], of the positive attributions that lies inside a mask.

    Masks have the same shape as the maps, (N, H, W), and are nonzero inside. The value is 0 where
    no attribution is positive. Higher is better.

    Raises:
        InputError: If the shapes differ.
    """
    inside = _checked_masks(maps, masks)
    positive = np.maximum(maps, 0).astype(np.float64)  # keeps NaN
    total = positive.sum(axis=(1, 2))
    covered = (positive * inside).sum(axis=(1, 2))
    return np.divide(covered, total, where=total != 0, out=np.zeros(len(maps)))


def pointing_game(maps: np.ndarray, masks: np.ndarray, tolerance: float = 0) -> np.ndarray:
    """Test whether a map's maximum lies inside a mask or within a few pixels of it.

    Masks have the same shape as the maps, (N, H, W), and are nonzero inside. Zhang et al. 2018
    (arXiv 1608.00507) allow a distance of 15 pixels on PASCAL VOC. If several pixels share the
    maximum, the result is the fraction of them that hit the mask.

    Returns:
        (N,), float64, in [0, 1]; higher is better. The value is the mask's share of the image for a
        constant map, 0 for an empty mask, and NaN for a map that contains NaN.

    Raises:
        InputError: If the shapes differ.
    """
    near = np.zeros(np.shape(masks), bool)
    for number, mask in enumerate(_checked_masks(maps, masks)):
        if mask.any():
            near[number] = distance_transform_edt(~mask) <= tolerance
    maximum = maps.max(axis=(1, 2), keepdims=True)
    maxima = maps == maximum
    hits, count = (maxima & near).sum(axis=(1, 2)), maxima.sum(axis=(1, 2))
    return np.where(np.isnan(maximum[:, 0, 0]), np.nan, hits / np.maximum(count, 1))


def _checked_masks(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Validate shapes and return the masks as booleans."""
    if np.ndim(maps) != 3 or np.shape(maps) != np.shape(masks):
        raise InputError(
            f"given maps {np.shape(maps)} and masks {np.shape(masks)}; allowed: the same "
            "shape (N, H, W)"
        )
    return np.asarray(masks) != 0
