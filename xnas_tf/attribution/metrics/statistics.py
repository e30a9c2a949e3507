"""Relative errors and correlations that are defined everywhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RESOLUTION = 1e-6
"""Numbers that vary less than this share of the largest are constant: float32 scores differ
by as much when the same image stands in another batch."""


class Errors(NamedTuple):
    """An error of each image, (N,), float64: as it is, and as a share of what was compared."""

    absolute: np.ndarray
    relative: np.ndarray


def share_of_larger(error: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The error as a share of the larger of two sizes; 0 where both are 0.

    Relative to one of the two it would be without bounds where that one vanishes, and a
    single such image would make up the mean over all.
    """
    larger = np.maximum(one, other)
    # `!= 0`, not `> 0`: NaN must stay NaN
    return np.divide(error, larger, where=larger != 0, out=np.zeros_like(larger, np.float64))


def pearson(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlation of the rows of two arrays, (N, k) each -> (N,); 0 where one is constant."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    constant = _constant(one) | _constant(other)
    one = one - one.mean(axis=1, keepdims=True)
    other = other - other.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    products = np.where(constant, 0.0, (one * other).sum(axis=1))
    return np.clip(products / np.where(constant, 1.0, norms), -1, 1)


def spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rank correlation of the rows of two arrays, (N, k) each -> (N,); 0 where one is constant.

    Equal values share their mean rank.
    """
    from scipy.stats import rankdata

    return pearson(rankdata(one, axis=1), rankdata(other, axis=1))


def _constant(rows: np.ndarray) -> np.ndarray:
    return np.ptp(rows, axis=1) <= RESOLUTION * np.abs(rows).max(axis=1)
