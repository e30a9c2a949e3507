"""Pareto front and hypervolume of recorded candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import platypus

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config


def costs(candidates: Sequence[Candidate], config: Config) -> np.ndarray:
    """Objective values (candidates, objectives), turned so that less is better."""
    rows = [[o.sign * c.objectives[o.name] for o in config.objectives] for c in candidates]
    return np.array(rows, dtype=float).reshape(len(candidates), len(config.objectives))


def pareto_front(candidates: Iterable[Candidate], config: Config) -> list[Candidate]:
    """The done candidates that keep all constraints and that no other such one dominates."""
    allowed = [c for c in candidates if c.state == "done" and c.violation(config.constraints) == 0]
    values = costs(allowed, config)
    return [c for c, row in zip(allowed, values, strict=True) if not _dominated(row, values)]


class Front:
    """The Pareto front as candidates become known, one by one.

    Attributes:
        candidates: Those that no other one dominates; a new list whenever that changes.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.candidates: list[Candidate] = []
        # Kept, as most newcomers don't belong here: with many groups a tenth of the work
        # queue's time went into collecting them anew.
        self._costs = costs([], config)

    def wants(self, new: Candidate) -> bool:
        """Whether a candidate belongs here."""
        if new.state != "done" or new.violation(self._config.constraints) > 0:
            return False
        return not _dominated(costs([new], self._config)[0], self._costs)

    def add(self, new: Candidate) -> bool:
        """Takes a candidate in if it belongs here, in place of those that it dominates; returns
        whether it does."""
        if not self.wants(new):
            return False
        row = costs([new], self._config)
        kept = [not _dominated(other, row) for other in self._costs]
        self.candidates = [*itertools.compress(self.candidates, kept), new]
        self._costs = np.concatenate([self._costs[kept], row])
        return True


def _dominated(row: np.ndarray, others: np.ndarray) -> bool:
    return bool(np.any(np.all(others <= row, axis=1) & np.any(others < row, axis=1)))


class HypervolumeMeter:
    """Hypervolume of a front, in units of the box that the first generation spans.

    The box reaches from the best to the worst value of every objective among the done
    candidates of generation 0; its worst corner is the reference point. The measure grows
    with the front, beyond 1 too.
    """

    def __init__(self, candidates: Iterable[Candidate], config: Config) -> None:
        self._config = config
        first = [c for c in candidates if c.state == "done" and c.generation == 0]
        values = costs(first, config)
        self._ready = len(first) > 1
        if self._ready:
            self._best, self._worst = values.min(axis=0), values.max(axis=0)
            self._span = np.where(self._worst > self._best, self._worst - self._best, 1.0)

    def __call__(self, front: Sequence[Candidate]) -> float:
        """The hypervolume; 0 before generation 0 has two done candidates."""
        if not self._ready or not front:
            return 0.0
        scaled = (costs(front, self._config) - self._best) / self._span
        reference = (self._worst - self._best) / self._span
        if len(reference) == 1:  # Platypus' recursion starts at two objectives
            scaled, reference = np.pad(scaled, ((0, 0), (0, 1))), np.append(reference, 1.0)
        ideal = np.minimum(scaled.min(axis=0), reference - 1)
        problem = platypus.Problem(0, scaled.shape[1])
        solutions = [_solution(problem, row) for row in scaled]
        share = platypus.Hypervolume(minimum=list(ideal), maximum=list(reference))
        return float(share.calculate(solutions) * np.prod(reference - ideal))


def _solution(problem: platypus.Problem, row: np.ndarray) -> platypus.Solution:
    solution = platypus.Solution(problem)
    solution.objectives[:] = row.tolist()
    return solution
