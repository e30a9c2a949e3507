"""Asynchronous successive halving over non-domination rank.

Everything is trained on the lowest rung, for a few epochs. Who is among the best of a rung is
promoted: trained for more. Nobody waits for a rung to be full (ASHA: Li et al. 2020, "A System
for Massively Parallel Hyperparameter Tuning", algorithm 2); with several objectives the best are
those of the lowest non-domination rank (Schmucker et al. 2021, "Multi-objective Asynchronous
Successive SuccessiveHalving").

Other than in ASHA a rung is looked at once in a generation, or when there is nothing else to do,
rather than after each answer. The first few of a rung are no measure of who is good: 16 of 2
objectives with 3 times the epochs on the second rung make 6.7 to 7.8 promotions by ASHA's rule, and
5.3 to 5.7 by ours, and what these find is the same within 0.5% (simulated, with noise of 0.3
standard deviations between rungs; 2% at a whole one).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from xnas_tf.strategy.ranking import best_first


class SuccessiveHalving:
    """Who is promoted from which rung; a function of what it has heard.

    Args:
        rungs: Epochs of each, rising. With a single one nobody is ever promoted.
        every: Of so many on the lowest rung, and of their part on the others, the rung is
            looked at: the size of a generation.
    """

    def __init__(self, rungs: Sequence[int], every: int) -> None:
        self._rungs = {
            lower: _Rung(lower, upper, max(1, every * rungs[0] // lower))
            for lower, upper in pairwise(rungs)
        }

    def heed(self, number: int, epochs: int, costs: Sequence[float], violation: float) -> None:
        """Hears of a candidate that is done.

        Args:
            number: The candidate's.
            epochs: Its rung; on the last one nothing follows.
            costs: Objective values, turned so that less is better.
            violation: Total constraint violation: those that break a limit come last.
        """
        if epochs in self._rungs:
            self._rungs[epochs].add(number, costs, violation)

    def promoted(self, number: int, epochs: int) -> None:
        """Hears that a candidate of a rung was promoted."""
        self._rungs[epochs].promoted(number)

    def next(self, is_idle: bool) -> tuple[int, int] | None:
        """Who is to be promoted, and to how many epochs; None while nobody is. High rungs come
        first, as in ASHA.

        Args:
            is_idle: Whether there is nothing else to do; then all answers count by now.
        """
        for rung in reversed(self._rungs.values()):
            if (number := rung.best(is_idle)) is not None:
                return number, rung.upper
        return None


class _Rung:
    """Those that are done on one rung."""

    def __init__(self, lower: int, upper: int, every: int) -> None:
        self._lower, self.upper, self._every = lower, upper, every
        self._numbers: list[int] = []
        self._costs: list[Sequence[float]] = []
        self._violations: list[float] = []
        self._promoted: set[int] = set()
        self._ranked, self._line = 0, []
        """Those that may be promoted, the best last, and of how many that is known."""

    def add(self, number: int, costs: Sequence[float], violation: float) -> None:
        self._numbers.append(number)
        self._costs.append(costs)
        self._violations.append(violation)

    def promoted(self, number: int) -> None:
        self._promoted.add(number)

    def best(self, is_idle: bool) -> int | None:
        """The best one that belongs on the rung above and was not promoted yet: as many belong
        there as the epochs allow, one in ``upper / lower``."""
        known = len(self._numbers)
        known -= 0 if is_idle else known % self._every
        if known != self._ranked:
            costs, violations = np.array(self._costs[:known]), np.array(self._violations[:known])
            best = best_first(costs, violations, known * self._lower // self.upper)
            self._ranked, self._line = known, [self._numbers[place] for place in reversed(best)]
        while self._line and self._line[-1] in self._promoted:
            self._line.pop()
        return self._line[-1] if self._line else None


def expected_epochs(rungs: Sequence[int], count: int) -> int:
    """Epochs that so many candidates on the lowest rung will have cost with all promotions; about
    so, as some are promoted that would not be once more are known."""
    promotions = [(count * rungs[0] // upper) * (upper - lower) for lower, upper in pairwise(rungs)]
    return count * rungs[0] + sum(promotions)


def epochs_of(rungs: Sequence[int], epochs: int) -> int:
    """Epochs that a training up to a rung costs where it goes on from the rung below."""
    below = [rung for rung in rungs if rung < epochs]
    return epochs - max(below, default=0)
