"""Which hyperparameters an objective depends on, and how, with how uncertain that is.

Searches sample what is good more often than what is not, so means of recorded values mix up what
goes together. Instead a random forest learns the objective from all hyperparameters, and is asked:
by permutation how much of what it foresees rests on each (Breiman 2001, section 10), on candidates
that it has not learned from; by partial dependence what it foresees when one value is put into all
candidates (Friedman 2001, section 8.2). Forests on bootstrap samples of the candidates say how far
both would differ with other candidates (Efron 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.reporting.html.hyperparameters import Hyperparameter, hyperparameters

LEAST = 10
"""Candidates, below which nothing can be learned from them."""
MOST = 1000
"""Candidates learned from, drawn at random out of more: beyond, only the time grows."""
RESAMPLES, TREES, REPEATS = 20, 20, 3
PLACES = 6
"""Values of a number at which the dependence is looked at."""
INTERVAL = (5, 95)
"""Percentiles over the resamples."""


def influence_data(
    candidates: Sequence[Candidate], config: Config, rng: np.random.Generator
) -> dict[str, Any]:
    """What each objective depends on.

    Args:
        candidates: Candidates with results of one fidelity.
        config: The run's configuration.
        rng: Draws candidates, resamples and trees.

    Returns:
        Of each objective the share of its variance that is foreseen (R²), the importance of each
        hyperparameter and its dependence on each value, as ``[low, mean, high]``; or why there is
        nothing to say.
    """
    columns = [column for column in hyperparameters(candidates) if len(set(column.places)) > 1]
    if len(candidates) < LEAST or not columns:
        what = "nothing was varied" if len(candidates) >= LEAST else f"fewer than {LEAST} results"
        return {"why_not": f"{what}, too little to learn from", "objectives": []}
    chosen = rng.permutation(len(candidates))[:MOST]
    codes = np.array([column.places for column in columns], dtype=float).T[chosen]
    found = []
    for objective in config.objectives:
        values = np.array([candidates[place].objectives[objective.name] for place in chosen])
        found.append({"name": objective.name, **_influence(columns, codes, values, rng)})
    return {"why_not": "", "candidates": len(chosen), "objectives": found}


def looked_at(values: Sequence[Any]) -> np.ndarray:
    """Places of the values at which a dependence is looked at; not all of many numbers."""
    if len(values) <= PLACES or isinstance(values[-1], str):
        return np.arange(len(values))
    return np.linspace(0, len(values) - 1, PLACES).round().astype(int)


def _influence(
    columns: Sequence[Hyperparameter],
    codes: np.ndarray,
    values: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The influence on one objective of all hyperparameters."""
    scores, importances, dependences = [], [], []
    places = [looked_at(column.values) for column in columns]
    while len(scores) < RESAMPLES:
        taken = rng.integers(len(values), size=len(values))
        rest = np.setdiff1d(np.arange(len(values)), taken)
        if len(rest) < 2:
            continue
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=2, random_state=int(rng.integers(2**31))
        ).fit(codes[taken], values[taken])
        spread = values.var() or 1.0
        # R² against the variance of all: that of a few left out may be next to nothing.
        scores.append(1 - np.mean((forest.predict(codes[rest]) - values[rest]) ** 2) / spread)
        lost = permutation_importance(
            forest,
            codes[rest],
            values[rest],
            scoring="neg_mean_squared_error",
            n_repeats=REPEATS,
            random_state=int(rng.integers(2**31)),
        )
        importances.append(lost.importances_mean / spread)
        dependences.append([_dependence(forest, codes, c, each) for c, each in enumerate(places)])
    return {
        "foreseen": _interval(scores),
        "hyperparameters": [
            {
                "name": column.name,
                "importance": _interval([each[at] for each in importances]),
                "values": [
                    {"value": column.values[place], "mean": _interval(means)}
                    for place, means in zip(
                        places[at], np.transpose([each[at] for each in dependences]), strict=True
                    )
                ],
            }
            for at, column in enumerate(columns)
        ],
    }


def _dependence(forest: Any, codes: np.ndarray, column: int, places: np.ndarray) -> list[float]:
    """What is foreseen on average with each value in the place of all candidates' own."""
    asked = np.tile(codes, (len(places), 1))
    asked[:, column] = np.repeat(places, len(codes))
    return forest.predict(asked).reshape(len(places), -1).mean(axis=1)


def _interval(values: Any) -> list[float]:
    low, high = np.percentile(values, INTERVAL)
    return [float(f"{value:.4g}") for value in (low, np.mean(values), high)]
