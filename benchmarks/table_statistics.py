"""Rank statistics of a table of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from benchmarks.debuggability_statistics import Interval
from xnas_tf.spaces.cells import OPERATIONS

RESAMPLES = 300
EFFECT_RESAMPLES = 50
"""Fewer than for an interval, because only a standard error is computed from them."""


def bootstrap(
    statistic: Callable[..., float], columns: list[np.ndarray], rng: np.random.Generator
) -> Interval:
    """Compute a statistic of columns (N,), with a percentile interval over resampled rows.

    Rows in which a column has no number are left out.
    """
    table = np.stack(columns)
    table = table[:, np.isfinite(table).all(axis=0)]
    count = table.shape[1]
    draws = (rng.integers(0, count, count) for _ in range(RESAMPLES))
    spread = [statistic(*table[:, rows]) for rows in draws]
    low, high = np.nanpercentile(spread, [2.5, 97.5])
    return Interval(float(statistic(*table)), float(low), float(high))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation."""
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def partial_spearman(one: np.ndarray, other: np.ndarray, given: np.ndarray) -> float:
    """Return Spearman's partial rank correlation given a third column.

    This is the partial correlation of the ranks, ``(r_ab - r_ac r_bc) / sqrt((1 - r_ac²)(1 -
    r_bc²))``.
    """
    ab, ac, bc = spearman(one, other), spearman(one, given), spearman(other, given)
    return (ab - ac * bc) / float(np.sqrt((1 - ac**2) * (1 - bc**2)))


def correlation(one: pd.Series, other: pd.Series, rng: np.random.Generator) -> Interval:
    """Return the rank correlation of two columns."""
    return bootstrap(spearman, [one.to_numpy(float), other.to_numpy(float)], rng)


def partial_correlation(
    one: pd.Series, other: pd.Series, given: pd.Series, rng: np.random.Generator
) -> Interval:
    """Return the rank correlation of two columns given a third one."""
    return bootstrap(partial_spearman, [each.to_numpy(float) for each in (one, other, given)], rng)


def reliability(by_seed: pd.DataFrame, rng: np.random.Generator) -> tuple[Interval, float]:
    """Return the mean rank correlation between two seeds, and the reliability of the mean.

    The second value follows from the first by the Spearman-Brown formula (1910). No other measure
    can be expected to correlate more strongly with the measure than the square root of its
    reliability.

    Args:
        by_seed: A value for each network (row) and seed (column).
        rng: Draws the bootstrap samples.
    """

    def mean_of_pairs(*columns: np.ndarray) -> float:
        return float(np.mean([spearman(*pair) for pair in combinations(columns, 2)]))

    found = bootstrap(mean_of_pairs, list(by_seed.to_numpy(float).T), rng)
    seeds, r = by_seed.shape[1], found.value
    return found, seeds * r / (1 + (seeds - 1) * r)


def between_architectures(
    one: pd.DataFrame, other: pd.DataFrame, rng: np.random.Generator
) -> Interval:
    """Return the rank correlation of two measures as properties of architectures.

    This is the mean rank correlation between one measure with one seed and the other measure with
    another seed, divided by the geometric mean of the two correlations between seeds (correction
    for attenuation, Spearman 1904). What both measures have in common in a single training does not
    count.

    Args:
        one: A value for each network (row) and seed (column).
        other: The same for the other measure; networks that only one of them has are left out.
        rng: Draws the bootstrap samples.

    Returns:
        The correlation; NaN if seeds do not agree at all on one of the measures.
    """
    one, other = one.align(other, join="inner", axis=0)
    seeds = one.shape[1]

    def corrected(*columns: np.ndarray) -> float:
        first, second = columns[:seeds], columns[seeds:]
        pairs = [(i, j) for i in range(seeds) for j in range(seeds) if i != j]

        def mean(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> float:
            return float(np.mean([spearman(left[i], right[j]) for i, j in pairs]))

        agreement = mean(first, first), mean(second, second)
        if min(agreement) <= 0:
            return np.nan
        return mean(first, second) / float(np.sqrt(np.prod(agreement)))

    return bootstrap(corrected, [*one.to_numpy(float).T, *other.to_numpy(float).T], rng)


def operation_effects(
    cells: Sequence[np.ndarray], values: pd.Series, error: pd.Series, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return how operations change a measure at equal error, and the standard errors.

    The percentile rank of the measure is regressed on the operations of all edges and on the rank
    of the error and its square and cube. A network with several cells is in the regression with
    each of them, with equal weights whose sum is 1. An effect is the difference from the mean of
    the edge's operations. Standard errors are those of bootstrap samples of networks.

    Args:
        cells: For each of N networks, the operations' numbers of all its cells, (cells, edges).
        values: The measure, (N,).
        error: The error, (N,).
        rng: Draws the bootstrap samples.

    Returns:
        Effects and standard errors in percentiles, each (edges, operations).
    """
    found, wrong = values.to_numpy(float), error.to_numpy(float)
    known = np.flatnonzero(np.isfinite(found) & np.isfinite(wrong))
    draws = [rng.choice(known, len(known)) for _ in range(EFFECT_RESAMPLES)]
    effects, *spread = (
        _effects([cells[row] for row in rows], found[rows], wrong[rows]) for rows in (known, *draws)
    )
    return effects, np.std(spread, axis=0, ddof=1)


def _effects(cells: Sequence[np.ndarray], values: np.ndarray, error: np.ndarray) -> np.ndarray:
    counts = np.array([len(each) for each in cells])
    chosen = np.concatenate(cells)
    edges, operations = chosen.shape[1], len(OPERATIONS)
    is_chosen = (chosen[:, :, None] == np.arange(operations)).reshape(len(chosen), -1)
    rank, target = (np.repeat(rankdata(each) / len(each), counts) for each in (error, values))
    design = np.column_stack([is_chosen.astype(float), rank, rank**2, rank**3])
    weights = np.repeat(counts**-0.5, counts)  # their squares are the weights of the residuals
    found = np.linalg.lstsq(design * weights[:, None], 100 * target * weights, rcond=None)[0]
    effects = found[: edges * operations].reshape(edges, operations)
    return effects - effects.mean(axis=1, keepdims=True)


def fronts(error: pd.Series, value: pd.Series) -> np.ndarray:
    """Return which networks no other network beats in error (lower) and value (higher), (N,).

    Networks that are equal in both are all on the front, or none of them is.
    """
    costs = np.column_stack([error.to_numpy(float), -value.to_numpy(float)])
    costs[~np.isfinite(costs).all(axis=1)] = np.inf
    points, place = np.unique(costs, axis=0, return_inverse=True)  # sorted by error, then value
    best = np.minimum.accumulate(points[:, 1])
    is_better = np.concatenate([[True], points[1:, 1] < best[:-1]])
    found: np.ndarray = (is_better & np.isfinite(points[:, 0]))[place.ravel()]
    return found
