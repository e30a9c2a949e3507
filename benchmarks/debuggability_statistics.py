"""Intervals by bootstrap over cells: the cell is the unit, its seeds are averaged first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

RESAMPLES = 2000
FEWEST = 8
"""Cells below which a bootstrap would feign an interval."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return format(self, ".2f")

    def __format__(self, spec: str) -> str:
        """``VALUE [LOW, HIGH]``, each number as a float's format has it."""
        value, low, high = (format(n, spec or ".2f") for n in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    def rounded(self) -> list[float | None]:
        """Value, low and high, to three digits; None where there is none."""
        numbers = (self.value, self.low, self.high)
        return [round(float(x), 3) if np.isfinite(x) else None for x in numbers]


def cell_means(*columns: np.ndarray) -> np.ndarray:
    """Means over the seeds that have a number, (columns, cells).

    Args:
        columns: A number for each cell and seed, or NaN, (cells, seeds). A cell without any
            number in one of them is left out of all.
    """
    known = np.isfinite(columns)
    sums, counts = np.where(known, columns, 0).sum(axis=2), known.sum(axis=2)
    complete = (counts > 0).all(axis=0)
    return sums[:, complete] / counts[:, complete]


def interval(
    statistic: Callable[..., float], *columns: np.ndarray, rng: np.random.Generator
) -> Interval:
    """A statistic of cells with its percentile interval (Efron 1979).

    Args:
        statistic: Means of each column, (cells,) -> a number.
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
    """Mean value of the cells that are low in ``by``, and of those that are high.

    Of an odd number the middle cell is in neither half.
    """
    order, half = np.argsort(by, kind="stable"), len(by) // 2
    return float(values[order[:half]].mean()), float(values[order[-half:]].mean())


def high_minus_low(by: np.ndarray, values: np.ndarray) -> float:
    """Difference of the ``half_means``."""
    low, high = half_means(by, values)
    return high - low


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation; NaN where all ranks are equal."""
    ranks = [rankdata(values) for values in (one, other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])


def reliability(column: np.ndarray) -> float:
    """How consistently the seeds order the cells: the share of the variance of cell means that
    isn't noise (intraclass correlation (3, k), Shrout & Fleiss 1979), at least 0.

    Near 0 the seeds don't agree on which cells are high, and groups by it mean little.

    Args:
        column: (cells, seeds), at least two of each, all known.
    """
    cells, seeds = column.shape
    means = column.mean(axis=1, keepdims=True)
    rest = column - means - column.mean(axis=0) + column.mean()
    noise = (rest**2).sum() / ((cells - 1) * (seeds - 1)) / seeds
    return float(max(0.0, 1 - noise / means.var(ddof=1)))
