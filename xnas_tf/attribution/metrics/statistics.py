"""Relative errors and correlations that are defined for all inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from xnas_tf.attribution.metrics.maps import is_empty

RESOLUTION = 1e-6
"""Values that vary by less than this fraction of the largest one count as constant: the float32
scores of an image differ by that much between batches."""


class Errors(NamedTuple):
    """The absolute and the relative error of each image, (N,), float64."""

    absolute: np.ndarray
    relative: np.ndarray


def relative_to_larger(error: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Divide an error by the larger of two magnitudes; return 0 where both are 0.

    An error relative to one fixed magnitude would be unbounded where that magnitude is close to 0,
    and a single image would dominate the mean.
    """
    larger = np.maximum(one, other)
    # `!= 0`, not `> 0`, so that NaN stays NaN
    return np.divide(error, larger, where=larger != 0, out=np.zeros_like(larger, np.float64))


def with_empty(values: np.ndarray, maps: np.ndarray, empty: float | None) -> np.ndarray:
    """Set the value of images with an empty map to ``empty``, unless ``empty`` is None.

    The values are (N,) or (stages, N), and the maps are (N, H, W).
    """
    return values if empty is None else np.where(is_empty(maps), empty, values)


def pearson(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate the rows of two arrays (N, k); return (N,), with 0 where a row is constant."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    constant = _is_constant(one) | _is_constant(other)
    one = one - one.mean(axis=1, keepdims=True)
    other = other - other.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    products = np.where(constant, 0.0, (one * other).sum(axis=1))
    return np.clip(products / np.where(constant, 1.0, norms), -1, 1)


def spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate the ranks of the values in each row; ties get their mean rank."""
    return pearson(rankdata(one, axis=1), rankdata(other, axis=1))


def _is_constant(rows: np.ndarray) -> np.ndarray:
    return np.ptp(rows, axis=1) <= RESOLUTION * np.abs(rows).max(axis=1)
