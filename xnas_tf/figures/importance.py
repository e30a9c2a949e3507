"""Estimates and draws how hyperparameters affect objectives, and how certain that is.

A search samples good values more often than others, so plain means of the recorded values would
confound the effects of hyperparameters whose good values often occur together. Instead, a random
forest learns to predict the objective from all hyperparameters. Permutation importance (Breiman
2001, section 10) measures how much the forest relies on each hyperparameter when it predicts
candidates on which it was not trained. Half of the increase in the squared error is the variance
that is due to the hyperparameter (Gregorutti et al. 2017, arXiv 1310.5726), because a shuffled
value and the true one both vary. Partial dependence (Friedman 2001, section 8.2) is what the
forest would predict on average if all candidates had the same value of one hyperparameter. Forests
trained on bootstrap samples show how much importance and dependence would vary if other candidates
had been sampled (Efron 1979).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.interpretation.drawing import BLUE, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_CANDIDATES = 10
"""Minimum number of candidates to learn from."""
MAX_CANDIDATES = 1000
"""Maximum number of candidates; if there are more, a random sample is used. A larger sample would
only be slower."""
RESAMPLES, TREES, REPEATS = 20, 20, 3
MAX_VALUES = 6
"""Maximum number of values of a numeric hyperparameter for which dependence is computed."""
INTERVAL = (5, 95)
"""Percentiles over the bootstrap samples."""
SHOWN = 12
"""Maximum number of hyperparameters to draw for an objective; the most important ones are drawn."""


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter's values in all candidates.

    Attributes:
        values: The distinct values: numbers in ascending order, then strings.
        places: Index of each candidate's value in ``values``; -1 if the hyperparameter is inactive.
    """

    name: str
    values: list[Any]
    places: list[int]


def hyperparameters(candidates: Sequence[Candidate]) -> list[Hyperparameter]:
    """Return candidates' hyperparameters by name, with numbers in names sorted numerically."""

    def in_order(name: str) -> list[tuple[str, int]]:
        """Return a sort key that puts ``width2`` before ``width10``."""
        return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]

    rows = [candidate.hyperparameters for candidate in candidates]
    columns = []
    for name in sorted({name for row in rows for name in row}, key=in_order):
        found = {row[name] for row in rows if name in row}
        values = sorted(found, key=lambda value: (isinstance(value, str), value))
        index = {value: i for i, value in enumerate(values)}
        places = [index[row[name]] if name in row else -1 for row in rows]
        columns.append(Hyperparameter(name, values, places))
    return columns


def importance_data(
    candidates: Sequence[Candidate], config: Config, rng: np.random.Generator
) -> dict[str, Any]:
    """Estimate, from candidates with one fidelity, how each objective depends on hyperparameters.

    Returns:
        For each objective, as ``[low, mean, high]``, the predicted share of its variance (R²), each
        hyperparameter's share of the variance, and the prediction for each of its values; or the
        reason why nothing can be learned.
    """
    columns = [column for column in hyperparameters(candidates) if len(set(column.places)) > 1]
    is_few = len(candidates) < MIN_CANDIDATES
    if is_few or not columns:
        few = f"too few candidates with results ({len(candidates)}; at least {MIN_CANDIDATES})"
        return {"why_not": few if is_few else "no hyperparameter was varied", "objectives": []}
    chosen = rng.permutation(len(candidates))[:MAX_CANDIDATES]
    codes = np.array([column.places for column in columns], dtype=float).T[chosen]
    objectives = []
    for objective in config.objectives:
        values = np.array([candidates[i].objectives[objective.name] for i in chosen])
        objectives.append({"name": objective.name, **_influence(columns, codes, values, rng)})
    return {"why_not": "", "candidates": len(chosen), "objectives": objectives}


def _shown_values(values: Sequence[Any]) -> np.ndarray:
    """Return the indices of a limited number of values for which to compute dependence."""
    count = len(values) if isinstance(values[-1], str) else min(len(values), MAX_VALUES)
    return np.linspace(0, len(values) - 1, count).round().astype(int)


def _influence(
    columns: Sequence[Hyperparameter],
    codes: np.ndarray,
    values: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Estimate how values depend on hyperparameters, which are coded as (candidates, columns)."""
    shown = [_shown_values(column.values) for column in columns]
    resamples = [_resample(codes, values, shown, rng) for _ in range(RESAMPLES)]
    scores, importances, dependences = zip(*resamples, strict=True)
    by_column = zip(*dependences, strict=True)
    effects = zip(columns, np.transpose(importances), shown, by_column, strict=True)
    return {
        "foreseen": _interval(scores),
        "hyperparameters": [
            {
                "name": column.name,
                "importance": _interval(importance),
                "values": [
                    {"value": column.values[i], "mean": _interval(means)}
                    for i, means in zip(indices, np.transpose(dependence), strict=True)
                ],
            }
            for column, importance, indices, dependence in effects
        ],
    }


def _resample(
    codes: np.ndarray, values: np.ndarray, shown: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[float, np.ndarray, list[np.ndarray]]:
    """Train a forest on a bootstrap sample.

    Returns:
        R² on the candidates left out; the importance of each column, (columns,); and for each
        column, the dependence on the values at the indices ``shown``, (shown,).
    """
    rest = np.zeros(0)
    while len(rest) < 2:
        sample = rng.integers(len(values), size=len(values))
        rest = np.setdiff1d(np.arange(len(values)), sample)
    seed = int(rng.integers(2**31))
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=seed)
    forest.fit(codes[sample], values[sample])
    permuted = permutation_importance(
        forest,
        codes[rest],
        values[rest],
        scoring="neg_mean_squared_error",
        n_repeats=REPEATS,
        random_state=int(rng.integers(2**31)),
    )
    # Relative to the variance of all values, because that of the few held-out values may be nearly
    # zero. Nothing is predicted of equal values.
    is_varied = np.ptp(values) > 0
    variance = values.var() if is_varied else 1.0
    error = np.mean((forest.predict(codes[rest]) - values[rest]) ** 2)
    dependence = [_dependence(forest, codes, c, each) for c, each in enumerate(shown)]
    importances = permuted.importances_mean / 2 / variance
    return is_varied * (1 - error / variance), importances, dependence


def _dependence(
    forest: RandomForestRegressor, codes: np.ndarray, column: int, values: np.ndarray
) -> np.ndarray:
    """Return the mean prediction for each value, as if all candidates had it, (values,)."""
    changed = np.tile(codes, (len(values), 1))
    changed[:, column] = np.repeat(values, len(codes))
    return forest.predict(changed).reshape(len(values), -1).mean(axis=1)


def _interval(values: Sequence[float] | np.ndarray) -> list[float]:
    low, high = np.percentile(values, INTERVAL)
    return [float(f"{value:.4g}") for value in (low, np.mean(values), high)]


def importance_figure(influence: dict[str, Any], config: Config) -> Figure:
    """Draw the result of ``importance_data``, which must contain estimates."""
    objectives = influence["objectives"]
    rows = [min(SHOWN, len(each["hyperparameters"])) for each in objectives]
    figure = new_figure(6, 1.0 + sum(0.65 + 0.25 * row for row in rows))
    axes = figure.subplots(len(objectives), sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for axis, objective, found in zip(axes, config.objectives, objectives, strict=True):
        _draw(axis, found, objective.heading)
    label = "share of the variance that is due to the hyperparameter, with 90% interval"
    axes[-1].set_xlabel(label, fontsize=8)
    return figure


def _draw(axis: Axes, found: dict[str, Any], heading: str) -> None:
    """Draw an objective's hyperparameters, in grey if they do not predict it reliably."""
    low, predicted, high = found["foreseen"]
    ordered = sorted(found["hyperparameters"], key=lambda each: each["importance"][1])[-SHOWN:]
    lows, means, highs = np.transpose([each["importance"] for each in ordered])
    places = np.arange(len(ordered))
    colour = BLUE if low > 0 else GREY
    errors = [means - lows, highs - means]
    axis.barh(places, means, xerr=errors, color=colour, ecolor="#404040", capsize=2, height=0.6)
    axis.set_yticks(places, [each["name"] for each in ordered], fontsize=8)
    axis.set_ylim(-0.6, len(ordered) - 0.4)
    note = f"{predicted:.0%} predicted ({low:.0%} to {high:.0%})"
    reliable = note if low > 0 else "not reliably predicted: do not trust this"
    axis.set_title(f"{heading}: {reliable}", fontsize=9, loc="left")
    axis.grid(alpha=0.3, axis="x")
    axis.set_axisbelow(True)
