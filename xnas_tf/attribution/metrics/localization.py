"""Localisation: whether attributions lie on what they should."""

from __future__ import annotations

import numpy as np

from xnas_tf.errors import InputError


def attribution_mass(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of the positive attributions that lies inside a mask.

    Args:
        maps: (N, H, W).
        masks: What should be seen, (N, H, W); anything but 0 is inside.

    Returns:
        (N,), float64, in [0, 1]; more is better. 0 where nothing is positive.

    Raises:
        InputError: If the shapes differ.
    """
    inside = _checked(maps, masks)
    positive = np.maximum(maps, 0).astype(np.float64)  # keeps NaN
    total = positive.sum(axis=(1, 2))
    hit = (positive * inside).sum(axis=(1, 2))
    return np.divide(hit, total, where=total != 0, out=np.zeros(len(maps)))


def pointing_game(maps: np.ndarray, masks: np.ndarray, tolerance: float = 0) -> np.ndarray:
    """Whether the maximum of a map lies inside a mask, or near it.

    Zhang et al. 2018 (arXiv 1608.00507), who allow 15 pixels at the sizes of
    PASCAL VOC. Of several equal maxima, the share that hits counts: what choosing one at
    random would give on average.

    Args:
        maps: (N, H, W).
        masks: What should be hit, (N, H, W); anything but 0 is inside.
        tolerance: Distance in pixels that still counts as a hit.

    Returns:
        (N,), float64, in [0, 1]; more is better. For a constant map the mask's share of the
        image; 0 where the mask is empty; NaN where the map has one.

    Raises:
        InputError: If the shapes differ.
    """
    inside = _checked(maps, masks)
    near = np.stack([_near(mask, tolerance) for mask in inside]) if len(maps) else inside
    top = maps.max(axis=(1, 2), keepdims=True)
    maxima = maps == top
    hits, count = (maxima & near).sum(axis=(1, 2)), maxima.sum(axis=(1, 2))
    return np.where(np.isnan(top[:, 0, 0]), np.nan, hits / np.maximum(count, 1))


def _near(mask: np.ndarray, tolerance: float) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~mask) <= tolerance if mask.any() else mask


def _checked(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The masks as booleans."""
    if np.ndim(maps) != 3 or np.shape(maps) != np.shape(masks):
        raise InputError(
            f"given maps {np.shape(maps)} and masks {np.shape(masks)}; allowed: the same "
            "shape (N, H, W)"
        )
    return np.asarray(masks) != 0
