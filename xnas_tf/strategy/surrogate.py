"""A surrogate that learns from results to choose the most promising of many offspring."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import moocore
import numpy as np

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import Choice, Variable, is_active
from xnas_tf.strategy.proposal import Proposal
from xnas_tf.strategy.regression import Regression

ENOUGH = 10
"""Minimum number of results for predictions."""
MAX_RESULTS = 256
"""Number of most recent results to fit to, in addition to the front. A fit's cost is cubic in this
number."""
MAX_FRONT = 64
"""Number of members of the front used for the fit and for hypervolume gains."""
TUNING_GROWTH = 1.25
"""Growth of the number of results after which length scale, variance and noise are tuned again."""
TUNING_RESULTS = 128
"""Number of most recent results used for tuning, which takes 20 to 50 fits."""
OPTIMISM = 1.0
"""Number of standard deviations that are subtracted from predicted costs."""
FINALISTS = 8
"""Number of offspring whose exact costs are computed before one of them is chosen."""
MAX_CHOICES, RESULTS_PER_CHOICE = 32, 64
"""Number of choices from the same pool: one, plus one per this many results, up to the maximum. The
more results are known, the less another one matters, and the more a fit costs."""
MIN_PROBABILITY = 0.05
"""Lower bound of the predicted probability that a network trains and satisfies all constraints."""

Costs = Callable[[Mapping[str, Any]], Mapping[int, float]]
"""Maps hyperparameters to the costs that require no training, by the objective's index."""


class Surrogate:
    """Model that predicts networks' costs, and how much hypervolume they would add to the front.

    Each cost has its own ``Regression``. Once a candidate has failed or violated a constraint,
    another model predicts whether candidates satisfy all constraints. A choice depends only on the
    results so far and the pending proposals, so resuming a search needs no further state.

    ``costs`` computes exact costs, which replace predictions. The reference point of the
    hypervolume is given as costs (objectives,); if empty, it is the worst of the first results.
    """

    def __init__(
        self, space: Space, objectives: int, costs: Costs, reference: Sequence[float]
    ) -> None:
        self._encoding = Encoding(space)
        self._exact = costs
        self._reference = np.array(reference)
        self._objectives = objectives
        self._features: list[np.ndarray] = []
        self._costs: list[np.ndarray] = []
        self._is_feasible: list[bool] = []
        self._front: list[int] = []
        self._finished: list[int] = []
        self._fitted_rows = self._tuning_rows = np.zeros(0, int)
        self._tuned_at = 0
        self._is_fitted = self._is_tuned = False
        self._regressions = [Regression() for _ in range(objectives)]
        self._predicted: dict[str, tuple[np.ndarray, float]] = {}
        """Costs and probability of satisfying all constraints, by genotype."""

    @property
    def is_ready(self) -> bool:
        """Whether there are enough results to make predictions."""
        return len(self._finished) >= ENOUGH

    def features(self, proposal: Proposal) -> np.ndarray:
        """Return the numeric encoding of a proposal, (features,)."""
        return self._encoding.encode(proposal.hyperparameters, proposal.solution.variables[:])

    def update(self, proposal: Proposal, costs: Sequence[float] | None, violation: float) -> None:
        """Add the result of a proposal: costs to be minimised, or None if the training failed."""
        self._features.append(proposal.features)
        self._is_feasible.append(costs is not None and violation == 0)
        self._costs.append(np.full(self._objectives, np.nan) if costs is None else np.array(costs))
        row = len(self._costs) - 1
        if costs is not None:
            self._finished.append(row)
        if self._is_feasible[row]:
            self._update_front(row)

    def _update_front(self, row: int) -> None:
        front, new = self._costs_of(self._front), self._costs[row]
        if not np.any(np.all(front <= new, axis=1)):
            kept = ~np.all(new <= front, axis=1)
            self._front = [*itertools.compress(self._front, kept), row]

    def begin_pool(self) -> int:
        """Prepare for a new pool with the results so far; return how many proposals to choose."""
        count = len(self._costs)
        latest = range(max(0, count - MAX_RESULTS), count)
        self._fitted_rows = np.array(
            sorted({*self._front[-MAX_FRONT:], *self._finished[-ENOUGH:], *latest})
        )
        self._is_fitted = False
        if count >= TUNING_GROWTH * self._tuned_at:
            self._tuned_at, self._is_tuned = count, False
            has_costs = np.isfinite(self._costs_of(self._fitted_rows)).all(axis=1)
            self._tuning_rows = self._fitted_rows[has_costs][-TUNING_RESULTS:]
        return min(MAX_CHOICES, 1 + count // RESULTS_PER_CHOICE)

    def best(self, pool: Sequence[Proposal], pending: Sequence[Proposal]) -> int:
        """Return the index of the most promising of the proposals that are still in the pool.

        Predictions are made once, on the first call after ``begin_pool``. The results of
        ``pending`` are not known yet.
        """
        if not self._is_fitted:
            self._fit()
            self._predict_pool(pool)
        predicted = [self._predicted[proposal.genotype] for proposal in pool]
        costs, probabilities = map(np.array, zip(*predicted, strict=True))
        front = self._costs_of(self._front)
        if pending:
            front = np.concatenate([front, self._predict(_features(pending))])
        gains = probabilities * self._gains(costs, front)
        finalists = np.argsort(-gains, kind="stable")[:FINALISTS]
        exact = [dict(self._exact(pool[index].hyperparameters)) for index in finalists]
        if not any(exact):
            return int(finalists[0])
        for index, known in zip(finalists, exact, strict=True):
            costs[index, list(known)] = list(known.values())
        gains = probabilities[finalists] * self._gains(costs[finalists], front)
        return int(finalists[int(np.argmax(gains))])

    def _fit(self) -> None:
        """Fit to the results that were known when ``begin_pool`` was called."""
        for objective, regression in enumerate(self._regressions):
            if not self._is_tuned:
                regression.tune(*self._examples(self._tuning_rows, objective))
            regression.fit(*self._examples(self._fitted_rows, objective))
        self._is_fitted = self._is_tuned = True

    def _examples(self, rows: np.ndarray, objective: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the features (N, features) and the costs (N,) of results that have costs."""
        costs = self._costs_of(rows)[:, objective]
        features = np.array([self._features[row] for row in rows])
        return features[np.isfinite(costs)], costs[np.isfinite(costs)]

    def _costs_of(self, rows: Iterable[int]) -> np.ndarray:
        costs = [self._costs[row] for row in rows]
        return np.array(costs).reshape(len(costs), self._objectives)

    def _predict(self, features: np.ndarray) -> np.ndarray:
        """Predict costs (N, objectives), at the optimistic end of the likely range."""
        return np.column_stack([r.predict(features, OPTIMISM) for r in self._regressions])

    def _predict_pool(self, pool: Sequence[Proposal]) -> None:
        """Predict costs and probabilities for a pool, once for all choices made from the pool."""
        features = _features(pool)
        predictions = zip(self._predict(features), self._probabilities(features), strict=True)
        genotypes = [proposal.genotype for proposal in pool]
        self._predicted = dict(zip(genotypes, predictions, strict=True))

    def _probabilities(self, features: np.ndarray) -> np.ndarray:
        """Predict the probability (N,) that a network trains and satisfies all constraints."""
        is_infeasible = ~np.array([self._is_feasible[row] for row in self._fitted_rows])
        if not is_infeasible.any():
            return np.ones(len(features))
        known = np.array([self._features[row] for row in self._fitted_rows])
        target = is_infeasible.astype(float)
        regression = Regression()
        regression.tune(known[-TUNING_RESULTS:], target[-TUNING_RESULTS:])
        regression.fit(known, target)
        return np.clip(1 - regression.predict(features), MIN_PROBABILITY, 1)

    def _gains(self, costs: np.ndarray, front: np.ndarray) -> np.ndarray:
        """Return the hypervolume (N,) that each network (N, objectives) would add to the front.

        This is the volume of the network's own box, minus the part that the front dominates (While,
        Bradstreet and Barone 2012, WFG: limitsets).
        """
        reference = self._reference
        if not reference.size:
            reference = self._costs_of(self._finished[:ENOUGH]).max(axis=0)
        gains = np.zeros(len(costs))
        is_dominated = np.any(np.all(front[None] <= costs[:, None], axis=2), axis=1)
        # A sample: with four objectives, a front of 700 took 50 ms per choice.
        order = np.argsort(front[:, 0], kind="stable")
        count = min(len(front), MAX_FRONT)
        sample = front[order[np.linspace(0, len(front) - 1, count).astype(int)]]
        for index in np.flatnonzero(np.all(costs < reference, axis=1) & ~is_dominated):
            own = costs[index]
            dominated = moocore.hypervolume(np.maximum(sample, own), ref=reference) if count else 0
            gains[index] = np.prod(reference - own) - dominated
        return gains


def _features(proposals: Sequence[Proposal]) -> np.ndarray:
    return np.array([proposal.features for proposal in proposals])


class Encoding:
    """Numeric encoding of the hyperparameters of a search space.

    An unordered choice is encoded as a one-hot vector, an ordered choice as the index of its value,
    scaled to [0, 1], and a number as its position in its range. The features of an inactive
    variable are 0, and a conditional variable has one more feature: whether it is active. The
    features that the space itself defines come last.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._indices = [
            {value: index for index, value in enumerate(v.values)} if isinstance(v, Choice) else {}
            for v in space.variables
        ]

    def encode(self, values: Mapping[str, Any], encoded: Sequence[Any]) -> np.ndarray:
        """Encode an architecture as an array (features,), of the same length for all architectures.

        ``values`` are its active hyperparameters. Of its encoded variables, only those of a
        ``Range`` are used.
        """
        features: list[float] = []
        for variable, indices, position in zip(
            self._space.variables, self._indices, encoded, strict=True
        ):
            # Different branches may have variables with the same name.
            active = variable.name in values and is_active(variable, values)
            if indices and active:
                position = indices[values[variable.name]]
            own = _variable_features(variable, position)
            features += own if active else [0.0] * len(own)
            if variable.conditions:
                features.append(float(active))
        return np.array([*features, *self._space.features(values)], dtype=np.float64)


def _variable_features(variable: Variable, position: Any) -> list[float]:
    if not isinstance(variable, Choice):
        return [position]
    if variable.ordered:
        return [position / max(variable.size - 1, 1)]
    return [float(position == index) for index in range(variable.size)]
