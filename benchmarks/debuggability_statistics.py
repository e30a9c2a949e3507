"""Computes bootstrap intervals over cells, after averaging over the seeds of each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

RESAMPLES = 2000
FEWEST = 8
"""Minimum number of cells; with fewer, a bootstrap interval would be meaningless."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return format(self, ".2f")

    def __format__(self, spec: str) -> str:
        """Return ``VALUE [LOW, HIGH]``, with each number in the given float format."""
        value, low, high = (format(n, spec or ".2f") for n in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    def rounded(self) -> list[float | None]:
        """Return the value, low and high end to three digits; None where undefined."""
        numbers = (self.value, self.low, self.high)
        return [round(float(x), 3) if np.isfinite(x) else None for x in numbers]


def cell_means(*columns: np.ndarray) -> np.ndarray:
    """Return means over the seeds that have a number, (columns, cells).

    Args:
        columns: A number for each cell and seed, or NaN, (cells, seeds). A cell that has no number
            in one of the columns is left out of all of them.
    """
    known = np.isfinite(columns)
    sums, counts = np.where(known, columns, 0).sum(axis=2), known.sum(axis=2)
    complete = (counts > 0).all(axis=0)
    return sums[:, complete] / counts[:, complete]


def interval(
    statistic: Callable[..., float], *columns: np.ndarray, rng: np.random.Generator
) -> Interval:
    """Compute a statistic of cells with its percentile interval (Efron 1979).

    Args:
        statistic: A function from the means of each column, (cells,), to a number.
        columns: See ``cell_means``; resampling takes whole cells, with all their seeds.
        rng: Draws the resamples.
    """
    means = cell_means(*columns)
    count = means.shape[1]
    if count < FEWEST:
        return Interval(float(statistic(*means)), np.nan, np.nan)
    draws = rng.integers(0, count, (RESAMPLES, count))
    spread = [statistic(*means[:, draw]) for draw in draws]
    return Interval(float(statistic(*means)), *np.nanpercentile(spread, (2.5, 97.5)))


def half_means(by: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the mean value of the cells that are low in ``by``, and of those that are high.

    If the number of cells is odd, the middle cell is in neither half.
    """
    order, half = np.argsort(by, kind="stable"), len(by) // 2
    return float(values[order[:half]].mean()), float(values[order[-half:]].mean())


def high_minus_low(by: np.ndarray, values: np.ndarray) -> float:
    """Return the difference between the ``half_means``."""
    low, high = half_means(by, values)
    return high - low


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Return the rank correlation, or NaN if all ranks are equal."""
    ranks = [rankdata(values) for values in (one, other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])


def reliability(column: np.ndarray) -> float:
    """Measure how consistently the seeds order the cells, as the share of the variance of cell
    means that isn't noise (intraclass correlation (3, k), Shrout & Fleiss 1979), at least 0.

    If it is near 0, the seeds don't agree on which cells are high, and groups based on the value
    mean little.

    Args:
        column: Values (cells, seeds), with at least two of each and none missing.
    """
    cells, seeds = column.shape
    means = column.mean(axis=1, keepdims=True)
    rest = column - means - column.mean(axis=0) + column.mean()
    noise = (rest**2).sum() / ((cells - 1) * (seeds - 1)) / seeds
    return float(max(0.0, 1 - noise / means.var(ddof=1)))
