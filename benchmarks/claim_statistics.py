"""Compares arms at equal error, as planned in docs/claim.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import t

NEAR = 0.01
"""Largest difference in error between matched networks."""
OF_INTEREST = 0.5
"""Smallest effect of interest, in standard deviations."""
ALPHA = 0.05
COMPARISONS = 18
"""Number of planned comparisons, for which effects are corrected."""
FEWEST_CLUSTERS = 10
"""With fewer clusters, an effect is always undecided."""
FEWEST_RANDOM = 5
"""Least number of random networks from which a standard deviation is computed."""
KNOTS = 4
"""Number of knots of a natural cubic spline with three degrees of freedom."""


@dataclass(frozen=True)
class Effect:
    """How much better an arm's networks are than the control's in one outcome, at equal error.

    Values are in standard deviations of the outcome among random networks; above 0 is better. They
    are NaN if the outcome was measured for no network of the arm or of the control.

    Attributes:
        arm: The arm.
        outcome: The outcome.
        value: The difference, estimated by regression.
        error: Standard error of ``value``.
        matched: Mean difference between matched networks; NaN without a match.
        matched_error: Standard error of ``matched``.
        matches: Number of the arm's networks that have a match.
        networks: Number of the arm's networks with a number for the outcome, on the data sets used.
        same: Number of these networks that the control selected too.
        clusters: Number of clusters with networks of the arm, or of the control if it has fewer.
        corrected: Interval of ``value`` after Holm's correction; None before it.
        recomputed: Interval for which everything was computed anew without each cluster. If it is
            given and contains 0, the effect is undecided.
    """

    arm: str
    outcome: str
    value: float = np.nan
    error: float = np.nan
    matched: float = np.nan
    matched_error: float = np.nan
    matches: int = 0
    networks: int = 0
    same: int = 0
    clusters: int = 0
    corrected: tuple[float, float] | None = None
    recomputed: tuple[float, float] | None = None

    @property
    def statement(self) -> str:
        """The result, in the words of the plan."""
        if not self.clusters:
            return "not measured"
        if self.clusters < FEWEST_CLUSTERS:
            return "undecided"
        low, high = self.interval(ALPHA / COMPARISONS)
        if -OF_INTEREST < low and high < OF_INTEREST:
            return "no effect of interest"
        if np.sign(self.value) != np.sign(self.matched):
            return "undecided"
        low, high = self.corrected or (low, high)
        others = self.recomputed or (low, high)
        if min(*others, low) > 0 and self.value >= OF_INTEREST:
            return "better"
        return "worse" if max(*others, high) < 0 else "undecided"

    @property
    def p(self) -> float:
        """Two-sided p-value of ``value``; 1 with too few clusters, which cannot be significant."""
        if self.clusters < FEWEST_CLUSTERS or self.value == 0:
            return 1.0
        return float(2 * t.sf(abs(self.value) / self.error, self.clusters - 1))

    def interval(self, error: float = ALPHA) -> tuple[float, float]:
        """Return the interval of ``value`` with an error probability."""
        return self._around(self.value, self.error, error)

    @property
    def matched_interval(self) -> tuple[float, float]:
        """The 95% interval of ``matched``."""
        return self._around(self.matched, self.matched_error, ALPHA)

    def _around(self, value: float, standard_error: float, error: float) -> tuple[float, float]:
        half = float(t.isf(error / 2, max(self.clusters - 1, 1))) * standard_error
        return value - half, value + half


def with_interval(value: float | None, interval: tuple[float, float]) -> str:
    """Return a value and its interval as text; what is NaN is left out."""
    low, high = interval
    shown = "" if value is None or np.isnan(value) else f"{value:.2f}"
    return shown if np.isnan(low) else f"{shown} [{low:.2f}, {high:.2f}]".strip()


def scales(rows: pd.DataFrame, outcome: str) -> pd.Series:
    """Return the outcome's standard deviation among the random networks, by data set.

    Data sets with too few random networks, or without any difference between them, are left out.
    """
    random = rows[(rows.arm == "random") & rows.error.notna()].groupby("data")[outcome]
    scale = random.std(ddof=1).where(random.count() >= FEWEST_RANDOM)
    return scale[scale > 0]


def standardized(rows: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return the rows with a number for the outcome, which becomes ``y``: higher is better.

    ``y`` has a standard deviation of 1 among the random networks of each data set. The cluster of a
    row is its data set and seed.
    """
    known = rows[rows[outcome].notna() & rows.error.notna()].reset_index(drop=True)
    scale = known.data.map(scales(rows, outcome))
    cluster = known.groupby(["data", "seed"]).ngroup()
    return known.assign(y=known[outcome] / scale, cluster=cluster)[scale.notna()]


def effect(rows: pd.DataFrame, outcome: str, arm: str, control: str) -> Effect:
    """Compare an arm with a control.

    Args:
        rows: A row for each network with ``arm``, ``data``, ``seed``, ``genotype``, ``error`` and
            outcomes, for which higher is better.
        outcome: The column with the outcome.
        arm: The arm.
        control: The arm that it is compared with.
    """
    every = standardized(rows, outcome)
    both = every[every.arm.isin([arm, control])]
    is_arm = (both.arm == arm).to_numpy()
    clusters = min(both.cluster[is_arm].nunique(), both.cluster[~is_arm].nunique())
    if not clusters:
        return Effect(arm, outcome)
    weights = without_each(both.cluster.to_numpy())
    fitted = regression_difference(both, is_arm, weights)
    matched, matches = matched_difference(both, is_arm, weights)
    names = ["data", "seed", "genotype"]
    same = both[is_arm].merge(both[~is_arm][names].drop_duplicates(), on=names)
    return Effect(
        *(arm, outcome, float(fitted[0]), jackknife_error(fitted)),
        *(float(matched[0]), jackknife_error(matched), matches),
        *(int(is_arm.sum()), len(same), clusters),
    )


def without_each(cluster: np.ndarray) -> np.ndarray:
    """Return weights of rows that leave out one cluster at a time, (clusters + 1, rows).

    The first row of weights leaves out none.
    """
    left_out = np.unique(cluster)[:, None]
    return np.concatenate([np.ones((1, len(cluster))), (cluster != left_out).astype(float)])


def jackknife_error(values: np.ndarray) -> float:
    """Return the standard error of an estimate; NaN with a single cluster.

    With few clusters, an interval from this error and Student's t with one degree of freedom less
    than clusters holds its level better than one from a bootstrap (MacKinnon, Nielsen & Webb 2023,
    Fast and reliable jackknife and bootstrap methods for cluster-robust inference).

    Args:
        values: The estimate, followed by the estimates without each cluster.
    """
    number = len(values) - 1
    squares = ((values[1:] - values[0]) ** 2).sum()
    return float(np.sqrt((number - 1) / number * squares)) if number > 1 else np.nan


def matched_difference(
    both: pd.DataFrame, is_arm: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the mean difference from matched controls for each row of weights.

    A network is matched with the control on the same data set whose error is nearest; equally
    near controls are averaged. Controls with a weight of 0 are not available.

    Returns:
        The differences, NaN without any match, and the number of matches with the first weights.
    """
    total, norm = np.zeros(len(weights)), np.zeros(len(weights))
    number = 0
    y, errors = both.y.to_numpy(), both.error.to_numpy()
    for data in both.data.unique():
        of_data = (both.data == data).to_numpy()
        controls = np.flatnonzero(of_data & ~is_arm)
        if not len(controls):
            continue
        available = weights[:, controls] > 0
        for row in np.flatnonzero(of_data & is_arm):
            distance = np.abs(errors[controls] - errors[row])
            distances = np.where(available, distance, np.inf)
            nearest = distances.min(axis=1, keepdims=True)
            chosen = (distances <= nearest + 1e-9) & available
            has_match = nearest[:, 0] <= NEAR + 1e-9
            other = chosen @ y[controls] / np.maximum(chosen.sum(axis=1), 1)
            weight = weights[:, row] * has_match
            total += weight * (y[row] - other)
            norm += weight
            number += int(has_match[0])
    with np.errstate(invalid="ignore"):
        return total / norm, number


def regression_difference(
    both: pd.DataFrame, is_arm: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the arm's coefficient for each row of weights.

    The regression has an intercept and a natural cubic spline of the error for each data set.
    """
    columns = [is_arm.astype(float)]
    for data in both.data.unique():
        of_data = (both.data == data).to_numpy()
        own = both.error[of_data].to_numpy()
        for column in natural_spline(own):
            columns.append(np.zeros(len(both)))
            columns[-1][of_data] = column
    design = np.stack(columns, axis=1)
    size = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(both), -1)
    normal = (weights @ products).reshape(-1, size, size)
    target = weights @ (design * both.y.to_numpy()[:, None])
    inverse = np.linalg.pinv(normal, rcond=1e-10, hermitian=True)
    return np.einsum("bi,bi->b", inverse[:, 0], target)


def natural_spline(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an intercept and the basis of a natural cubic spline with knots at quantiles of ``x``.

    See Hastie et al. 2009 (The Elements of Statistical Learning), equations 5.4 and 5.5.
    """
    knots = np.unique(np.quantile(x, np.linspace(0, 1, KNOTS)))
    yield np.ones_like(x)
    if len(knots) < 2:
        return
    scaled, knots = (x - knots[0]) / np.ptp(knots), (knots - knots[0]) / np.ptp(knots)
    yield scaled

    def part(knot: float) -> np.ndarray:
        cubes = np.maximum(scaled - knot, 0) ** 3 - np.maximum(scaled - knots[-1], 0) ** 3
        return cubes / (knots[-1] - knot)

    for knot in knots[:-2]:
        yield part(knot) - part(knots[-2])


def corrected(effects: Sequence[Effect]) -> list[Effect]:
    """Add intervals after Holm's correction (1979) for all planned comparisons.

    Of m comparisons, the effect with the k-th smallest p-value is tested with the error probability
    ALPHA / (m - k + 1). From the first effect that is not significant on, this probability stays
    the same. Comparisons that were not measured count too.
    """
    order = sorted(range(len(effects)), key=lambda i: effects[i].p)
    found, rank = list(effects), 0
    for place, position in enumerate(order):
        error = ALPHA / (max(COMPARISONS, len(effects)) - rank)
        found[position] = replace(effects[position], corrected=effects[position].interval(error))
        rank += int(effects[position].p <= error and rank == place)
    return found
