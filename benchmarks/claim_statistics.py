"""Compares arms at equal error, as planned in docs/claim.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

RESAMPLES = 10_000
NEAR = 0.01
"""Largest difference in error between matched networks."""
OF_INTEREST = 0.5
"""Smallest effect of interest, in standard deviations."""
ALPHA = 0.05
COMPARISONS = 18
"""Number of planned comparisons, for which effects are corrected."""
FEWEST_CLUSTERS = 10
"""With fewer clusters, bootstrap intervals are too narrow, and an effect is always undecided."""
FEWEST_RANDOM = 5
"""Least number of random networks from which a standard deviation is computed."""
KNOTS = 4
"""Number of knots of a natural cubic spline with three degrees of freedom."""


@dataclass(frozen=True)
class Effect:
    """How much better an arm's networks are than the control's in one outcome, at equal error.

    Values are in standard deviations of the outcome among random networks; above 0 is better.

    Attributes:
        arm: The arm.
        outcome: The outcome.
        value: The difference, estimated by regression.
        low: Lower end of the 95% interval of ``value``.
        high: Upper end of the interval.
        p: Two-sided bootstrap p-value of ``value``.
        matched: Mean difference between matched networks.
        matched_low: Lower end of the 95% interval of ``matched``.
        matched_high: Upper end of the interval.
        matches: Number of the arm's networks that have a match.
        networks: Number of the arm's networks, including those without a number for the outcome.
        same: Number of matches with the same network, which the control selected too.
        clusters: Number of clusters.
        samples: The bootstrap samples of ``value``.
        corrected: Interval of ``value`` after Holm's correction; None before it.
    """

    arm: str
    outcome: str
    value: float
    low: float
    high: float
    p: float
    matched: float
    matched_low: float
    matched_high: float
    matches: int
    networks: int
    same: int
    clusters: int
    samples: np.ndarray
    corrected: tuple[float, float] | None = None

    @property
    def statement(self) -> str:
        """The result, in the words of the plan."""
        if self.clusters < FEWEST_CLUSTERS:
            return "undecided"
        low, high = self.interval(ALPHA / COMPARISONS)
        if -OF_INTEREST < low and high < OF_INTEREST:
            return "no effect of interest"
        if np.sign(self.value) != np.sign(self.matched):
            return "undecided"
        low, high = self.corrected or (low, high)
        if low > 0 and self.value >= OF_INTEREST:
            return "better"
        return "worse" if high < 0 else "undecided"

    def interval(self, error: float) -> tuple[float, float]:
        """Return the percentile interval of ``value`` with an error probability."""
        low, high = np.quantile(self.samples, [error / 2, 1 - error / 2])
        return float(low), float(high)


def standardized(rows: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return the rows with a number for the outcome, which becomes ``y``: higher is better.

    ``y`` has a standard deviation of 1 among the random networks of each data set. Data sets with
    too few random networks, or without any difference between them, are left out. The cluster of a
    row is its data set and seed.
    """
    known = rows[rows[outcome].notna()].reset_index(drop=True)
    random = known[known.arm == "random"].groupby("data")[outcome]
    scale = random.std(ddof=1).where(random.size() >= FEWEST_RANDOM)
    scale = known.data.map(scale[scale > 0])
    cluster = known.groupby(["data", "seed"]).ngroup()
    return known.assign(y=known[outcome] / scale, cluster=cluster)[scale.notna()]


def effect(
    rows: pd.DataFrame, outcome: str, arm: str, control: str, rng: np.random.Generator
) -> Effect | None:
    """Compare an arm with a control; None if no network has a match.

    Args:
        rows: A row for each network with ``arm``, ``data``, ``seed``, ``genotype``, ``error`` and
            outcomes, for which higher is better.
        outcome: The column with the outcome.
        arm: The arm.
        control: The arm that it is compared with.
        rng: Draws the bootstrap samples of clusters.
    """
    every = standardized(rows, outcome)
    both = every[every.arm.isin([arm, control])]
    clusters = np.unique(both.cluster)
    weights = resampled(both.cluster.to_numpy(), rng)
    is_arm = (both.arm == arm).to_numpy()
    matched, number = matched_difference(both, is_arm, weights)
    if not number:
        return None
    fitted = regression_difference(both, is_arm, weights)
    samples = fitted[1:]
    p = min(1.0, 2 * max(min((samples <= 0).mean(), (samples >= 0).mean()), 1 / len(samples)))
    ends = [ALPHA / 2, 1 - ALPHA / 2]
    names = ["data", "seed", "genotype"]
    same = both[is_arm].merge(both[~is_arm][names].drop_duplicates(), on=names)
    total = int((rows.arm == arm).sum())
    return Effect(
        *(arm, outcome, float(fitted[0]), *np.quantile(samples, ends), p),
        *(float(matched[0]), *np.nanquantile(matched[1:], ends)),
        *(number, total, len(same), len(clusters), samples),
    )


def resampled(cluster: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how often each row occurs in each bootstrap sample of clusters, (samples + 1, rows).

    The first sample contains each row once.
    """
    names = np.unique(cluster)
    draws = rng.integers(0, len(names), (RESAMPLES, len(names)))
    counts = (draws[:, :, None] == np.arange(len(names))).sum(axis=1)
    counts = np.concatenate([np.ones((1, len(names)), int), counts])
    return counts[:, np.searchsorted(names, cluster)].astype(float)


def matched_difference(
    both: pd.DataFrame, is_arm: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the mean difference from matched controls for each row of weights, (samples,).

    A network is matched with the control on the same data set whose error is nearest; equally
    near controls are averaged. Controls with a weight of 0 are not available.

    Returns:
        The differences, NaN without any match, and the number of matches in the first sample.
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
    """Return the arm's coefficient for each row of weights, (samples,).

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
    the same. Comparisons without any network count too.
    """
    order = sorted(range(len(effects)), key=lambda i: effects[i].p)
    found, rank = list(effects), 0
    for position in order:
        error = ALPHA / (max(COMPARISONS, len(effects)) - rank)
        found[position] = replace(effects[position], corrected=effects[position].interval(error))
        rank += int(effects[position].p <= error and rank == order.index(position))
    return found
