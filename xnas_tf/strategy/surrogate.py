"""Chooses the most promising of many offspring by what earlier candidates have shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import moocore
import numpy as np

from xnas_tf.spaces.base import Space
from xnas_tf.strategy.encoding import Encoding
from xnas_tf.strategy.proposal import Proposal
from xnas_tf.strategy.regression import Regression

ENOUGH = 10
"""Answers from which on it predicts."""
LEARNT_FROM = 256
"""Latest answers that it learns from, besides the front: the cost of a fit grows with the
cube."""
FRONT = 64
"""Members of the front that it learns from, and that gains are measured over."""
PATIENCE = 1.25
"""Growth of what is known after which length scale, variance and noise are found anew."""
TUNED_ON = 128
"""Latest of those that length scale, variance and noise are found with: it takes 20 to 50 fits."""
OPTIMISM = 1.0
"""Standard deviations by which a prediction is taken as better than the mean."""
FINALISTS = 8
"""Offspring whose costs are computed exactly before one of them is chosen."""
PICKS, ANSWERS_A_PICK = 32, 64
"""Choices among the same offspring: one, and one more for so many answers, at most 32. A
network more matters less where many are known, and fits cost more."""

LEAST_CHANCE = 0.05
"""That a network keeps all constraints, whatever is predicted."""

Costs = Callable[[Mapping[str, Any]], Mapping[int, float]]
"""From hyperparameters: those costs, by the objective's place, that need no training."""


def no_costs(values: Mapping[str, Any]) -> Mapping[int, float]:
    """Where all objectives need training."""
    return {}


class Surrogate:
    """Predicts costs, and measures what a network would add to the hypervolume.

    Each cost has a ``Regression`` of its own, and so has whether a candidate keeps all
    constraints, once one did not or failed. A choice is a function of the answers heard so far
    and of the proposals that are open: nothing else need be kept for a search to be gone on
    with.

    Args:
        space: The search space.
        objectives: How many.
        costs: Computes exactly what needs no training; no prediction decides on that.
        reference: Of the hypervolume, as costs (objectives,); None: the worst of the first
            answers.
    """

    def __init__(
        self,
        space: Space,
        objectives: int,
        costs: Costs = no_costs,
        reference: Sequence[float] | None = None,
    ) -> None:
        self._encoding = Encoding(space)
        self._exact = costs
        self._reference = None if reference is None else np.array(reference)
        self._objectives = objectives
        self._features: list[np.ndarray] = []
        self._costs: list[np.ndarray] = []
        self._keeps: list[bool] = []
        self._front: list[int] = []
        self._finished: list[int] = []
        self._known = self._tuned_with = np.zeros(0, int)
        self._tuned_at = 0
        self._is_fitted = self._is_tuned = False
        self._regressions = [Regression() for _ in range(objectives)]
        self._promises: dict[str, np.ndarray] = {}
        self._chances: dict[str, float] = {}

    @property
    def is_ready(self) -> bool:
        """Whether enough is known to predict."""
        return len(self._finished) >= ENOUGH

    def features(self, proposal: Proposal) -> np.ndarray:
        """A proposal in numbers."""
        return self._encoding.encode(proposal.hyperparameters, proposal.solution.variables[:])

    def heed(self, proposal: Proposal, costs: Sequence[float] | None, violation: float) -> None:
        """Learns how a proposal did; None: its training failed."""
        self._features.append(proposal.features)
        self._keeps.append(costs is not None and violation == 0)
        self._costs.append(np.full(self._objectives, np.nan) if costs is None else np.array(costs))
        row = len(self._costs) - 1
        if costs is not None:
            self._finished.append(row)
        if self._keeps[row]:
            self._enter(row)

    def _enter(self, row: int) -> None:
        """Takes an answer into the front, if it belongs there."""
        known, new = self._costs_of(self._front), self._costs[row]
        if not (known <= new).all(axis=1).any():
            kept = ~(new <= known).all(axis=1)
            self._front = [*itertools.compress(self._front, kept), row]

    def begin(self) -> int:
        """Hears that new offspring are to be chosen from, and says how often."""
        count = len(self._costs)
        latest = range(max(0, count - LEARNT_FROM), count)
        self._known = np.array(sorted({*self._front[-FRONT:], *self._finished[-ENOUGH:], *latest}))
        self._is_fitted = False
        if count >= PATIENCE * self._tuned_at:
            self._tuned_at, self._tuned_with, self._is_tuned = count, self._known[-TUNED_ON:], False
        return min(PICKS, 1 + count // ANSWERS_A_PICK)

    def best(self, offspring: Sequence[Proposal], open_ones: Sequence[Proposal]) -> int:
        """The place of the one that promises most, by what was known at ``begin``."""
        if not self._is_fitted:
            self._fit()
            self._predict_all(offspring)
        costs = np.array([self._promises[proposal.genotype] for proposal in offspring])
        keeps = np.array([self._chances[proposal.genotype] for proposal in offspring])
        front = self._rivals(open_ones)
        gains = keeps * self._gains(costs, front)
        finalists = np.argsort(-gains, kind="stable")[:FINALISTS]
        exact = [dict(self._exact(offspring[place].hyperparameters)) for place in finalists]
        if not any(exact):
            return int(finalists[0])
        for place, known in zip(finalists, exact, strict=True):
            costs[place, list(known)] = list(known.values())
        gains = keeps[finalists] * self._gains(costs[finalists], front)
        return int(finalists[int(np.argmax(gains))])

    # Learning

    def _fit(self) -> None:
        """Fits to what was known at ``begin``."""
        for place, regression in enumerate(self._regressions):
            if not self._is_tuned:
                regression.tune(*self._examples(self._tuned_with, place))
            regression.fit(*self._examples(self._known, place))
        self._is_fitted = self._is_tuned = True

    def _examples(self, rows: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, features) and costs (N,) of those answers that have some."""
        costs = self._costs_of(rows)[:, place]
        features = np.array([self._features[row] for row in rows])
        return features[np.isfinite(costs)], costs[np.isfinite(costs)]

    def _costs_of(self, rows: Sequence[int]) -> np.ndarray:
        found = [self._costs[row] for row in rows]
        return np.array(found).reshape(len(found), self._objectives)

    # Promises

    def _predict(self, features: np.ndarray) -> np.ndarray:
        """Costs (N, objectives), at the better end of what is likely."""
        return np.column_stack([r.predict(features, OPTIMISM) for r in self._regressions])

    def _predict_all(self, offspring: Sequence[Proposal]) -> None:
        """What offspring promise: it stays so as long as they are chosen from."""
        features = np.array([proposal.features for proposal in offspring])
        genotypes = [proposal.genotype for proposal in offspring]
        self._promises = dict(zip(genotypes, self._predict(features), strict=True))
        self._chances = dict(zip(genotypes, self._predict_chances(features), strict=True))

    def _predict_chances(self, features: np.ndarray) -> np.ndarray:
        """Of being trained and keeping all constraints, (N,)."""
        breaks = ~np.array([self._keeps[row] for row in self._known])
        if not breaks.any():
            return np.ones(len(features))
        known = np.array([self._features[row] for row in self._known])
        regression = Regression()
        regression.tune(known[-TUNED_ON:], breaks[-TUNED_ON:].astype(float))
        regression.fit(known, breaks.astype(float))
        return np.clip(1 - regression.predict(features), LEAST_CHANCE, 1)

    def _rivals(self, open_ones: Sequence[Proposal]) -> np.ndarray:
        """Costs (N, objectives) of the front, and those that open proposals promise."""
        front = self._costs_of(self._front)
        if not open_ones:
            return front
        promised = self._predict(np.array([proposal.features for proposal in open_ones]))
        return np.concatenate([front, promised])

    def _gains(self, costs: np.ndarray, front: np.ndarray) -> np.ndarray:
        """What each network (N, objectives) would add to the hypervolume of a front, (N,).

        That is its own box, less the part of it that the front dominates (While, Bradstreet and
        Barone 2012, WFG: limitsets).
        """
        corner = self._corner()
        gains = np.zeros(len(costs))
        is_beaten = (front[None] <= costs[:, None]).all(axis=2).any(axis=1)
        # Thinned out: with four objectives, 700 on the front took 50 ms a choice.
        order = np.argsort(front[:, 0], kind="stable")
        thin = front[order[np.linspace(0, len(front) - 1, min(len(front), FRONT)).astype(int)]]
        for place in np.flatnonzero((costs < corner).all(axis=1) & ~is_beaten):
            own = costs[place]
            taken = moocore.hypervolume(np.maximum(thin, own), ref=corner) if len(thin) else 0.0
            gains[place] = np.prod(corner - own) - taken
        return gains

    def _corner(self) -> np.ndarray:
        """The reference point, (objectives,)."""
        if self._reference is not None:
            return self._reference
        first = self._costs_of(range(ENOUGH))
        return np.nanmax(first, axis=0)
