"""Finds the image regions in which a class's maps are concentrated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xnas_tf.attribution.metrics.maps import is_empty

CONCENTRATED = 1 / 3
"""Minimum share of a class's mean map that must be in one ninth of the image to be reported: three
times the share of a uniform map."""
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "middle", "right")


class Concentration(NamedTuple):
    """The share of a class's mean map that falls into one ninth of the image."""

    target: int
    region: str
    share: float
    images: int


def concentrations(maps: np.ndarray, targets: np.ndarray) -> list[Concentration]:
    """Return the classes whose mean maps are concentrated in a ninth of the image, strongest first.

    The maps (N, H, W) explain the classes ``targets`` (N,). Each map's absolute values are divided
    by their sum, so that all images count equally. Empty maps, and classes with only one map, are
    left out.
    """
    kept = ~is_empty(maps)
    if min(maps.shape[1:]) < len(_ROWS):
        return []
    found = []
    for target in np.unique(targets[kept]):
        own = np.abs(maps[kept & (targets == target)].astype(np.float64))
        shares = _ninths((own / own.sum(axis=(1, 2), keepdims=True)).mean(axis=0))
        row, column = np.unravel_index(shares.argmax(), shares.shape)
        share = float(shares[row, column])
        if len(own) >= 2 and share > CONCENTRATED:
            region = f"{_ROWS[row]} {_COLUMNS[column]}".replace("middle middle", "middle")
            found.append(Concentration(int(target), region, share, len(own)))
    return sorted(found, key=lambda each: -each.share)


def _ninths(values: np.ndarray) -> np.ndarray:
    """Sum values (H, W) over ninths of the same area, (3, 3), dividing pixels on their borders."""
    parts = values.repeat(3, axis=0).repeat(3, axis=1) / 9
    return parts.reshape(3, len(values), 3, -1).sum(axis=(1, 3))
