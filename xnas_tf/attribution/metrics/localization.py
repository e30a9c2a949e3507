"""Localization: whether attributions lie inside a mask of the object."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from xnas_tf.errors import InputError


def attribution_mass(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Compute the share of the positive attributions inside a mask.

    Args:
        maps: (N, H, W).
        masks: (N, H, W); nonzero inside.

    Returns:
        (N,), float64, in [0, 1]; higher is better. 0 where nothing is positive.

    Raises:
        InputError: If the shapes differ.
    """
    inside = _checked_masks(maps, masks)
    positive = np.maximum(maps, 0).astype(np.float64)  # keeps NaN
    total = positive.sum(axis=(1, 2))
    covered = (positive * inside).sum(axis=(1, 2))
    return np.divide(covered, total, where=total != 0, out=np.zeros(len(maps)))


def pointing_game(maps: np.ndarray, masks: np.ndarray, tolerance: float = 0) -> np.ndarray:
    """Test whether the maximum of a map lies inside a mask or close to it.

    Zhang et al. 2018 (arXiv 1608.00507) allow a distance of 15 pixels for images of PASCAL VOC.
    Of several equal maxima the share of hits counts, as if one were chosen at random.

    Args:
        maps: (N, H, W).
        masks: (N, H, W); nonzero inside.
        tolerance: Distance in pixels that still counts as a hit.

    Returns:
        (N,), float64, in [0, 1]; higher is better. For a constant map the mask's share of the
        image; 0 where the mask is empty; NaN where the map contains NaN.

    Raises:
        InputError: If the shapes differ.
    """
    inside = _checked_masks(maps, masks)
    near = np.stack([_near(mask, tolerance) for mask in inside]) if len(maps) else inside
    maximum = maps.max(axis=(1, 2), keepdims=True)
    maxima = maps == maximum
    hits, count = (maxima & near).sum(axis=(1, 2)), maxima.sum(axis=(1, 2))
    return np.where(np.isnan(maximum[:, 0, 0]), np.nan, hits / np.maximum(count, 1))


def _near(mask: np.ndarray, tolerance: float) -> np.ndarray:
    """Return a mask of the pixels inside a mask or within a distance of it."""
    return distance_transform_edt(~mask) <= tolerance if mask.any() else mask


def _checked_masks(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Validate shapes and return the masks as booleans."""
    if np.ndim(maps) != 3 or np.shape(maps) != np.shape(masks):
        raise InputError(
            f"given maps {np.shape(maps)} and masks {np.shape(masks)}; allowed: the same "
            "shape (N, H, W)"
        )
    return np.asarray(masks) != 0
