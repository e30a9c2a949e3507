"""Pareto front of recorded candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.options import Goals


def ended_candidates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that have ended, in the order in which they ended."""
    return sorted((c for c in candidates if c.finish_order), key=lambda c: c.finish_order)


def costs(candidates: Sequence[Candidate], config: Goals) -> np.ndarray:
    """Return objective values (candidates, objectives), negated where higher is better."""
    rows = [[o.sign * c.objectives[o.name] for o in config.objectives] for c in candidates]
    return np.array(rows, dtype=float).reshape(len(candidates), len(config.objectives))


def pareto_front(
    candidates: Iterable[Candidate], config: Goals, is_exact: bool = False
) -> list[Candidate]:
    """Return the Pareto-optimal candidates in the given order; see ``Front``."""
    front = Front(config, is_exact)
    for candidate in candidates:
        front.add(candidate)
    return front.candidates


def ordered_front(candidates: Iterable[Candidate], config: Goals) -> list[Candidate]:
    """Return the Pareto-optimal candidates, sorted by the first objective, best first."""
    return in_order(pareto_front(candidates, config), config)


def in_order(front: Iterable[Candidate], config: Goals) -> list[Candidate]:
    """Return the candidates of a front, sorted by the first objective, best first."""
    first = config.objectives[0]
    return sorted(front, key=lambda c: (first.sign * c.objectives[first.name], c.id))


def comparable_candidates(
    candidates: Iterable[Candidate], front: Sequence[Candidate]
) -> list[Candidate]:
    """Return the finished candidates that have the same fidelity as the front.

    If there is no front because all candidates violate constraints, the highest fidelity is used.
    """
    done = [candidate for candidate in candidates if candidate.state == "done"]
    epochs = max((candidate.epochs for candidate in front or done), default=0)
    return [candidate for candidate in done if candidate.epochs == epochs]


class Front:
    """The Pareto front, which is updated with one candidate at a time.

    Among the finished candidates of the highest fidelity reached so far that satisfy all
    constraints, the front consists of those that no other candidate dominates. With
    ``search.epsilons``, the front is an epsilon-Pareto set (Laumanns, Thiele, Deb and Zitzler 2002,
    section 4): objective space is divided into boxes. A box that another box dominates keeps no
    candidate, and every other box keeps one: the one nearest to its best corner, in units of
    epsilon. Ties go to the candidate that is better in the first objective that differs, then to
    the lower id. The result is a subset of the Pareto front and does not depend on the order of the
    candidates. A candidate on the final front has been on the front since it finished, so its model
    was kept. ``is_exact`` ignores ``search.epsilons``.

    Attributes:
        candidates: The candidates on the front, as a new list whenever the front changes.
        epochs: Fidelity of these candidates.
    """

    def __init__(self, config: Goals, is_exact: bool = False) -> None:
        self._config = config
        epsilons = {} if is_exact else config.search.epsilons
        self._epsilons = np.array([epsilons[o.name] for o in config.objectives if epsilons])
        self.candidates: list[Candidate] = []
        self.epochs = 0
        # Cached: with many groups, the coordinator spent a tenth of its time recomputing them.
        self._boxes = costs([], config)

    def wants(self, new: Candidate) -> bool:
        """Return whether a candidate would enter the front."""
        if new.state != "done" or new.violation(self._config.constraints) > 0:
            return False
        if new.epochs != self.epochs:
            return new.epochs > self.epochs
        box = self._box(new)
        rivals = itertools.compress(self.candidates, self._shares(box))
        return not _dominates(self._boxes, box).any() and all(
            self._order(new) < self._order(rival) for rival in rivals
        )

    def add(self, new: Candidate) -> bool:
        """Add a candidate if it belongs to the front, and return whether it does."""
        if not self.wants(new):
            return False
        if new.epochs > self.epochs:
            self.epochs, self.candidates, self._boxes = new.epochs, [], costs([], self._config)
        box = self._box(new)
        kept = ~_dominates(box, self._boxes) & ~self._shares(box)
        self.candidates = [*itertools.compress(self.candidates, kept), new]
        self._boxes = np.concatenate([self._boxes[kept], box[None]])
        return True

    def _box(self, candidate: Candidate) -> np.ndarray:
        """Return a candidate's box (objectives,), or its costs if there are no epsilons."""
        values = costs([candidate], self._config)[0]
        return np.floor(values / self._epsilons) if self._epsilons.size else values

    def _shares(self, box: np.ndarray) -> np.ndarray:
        """Return which candidates on the front are in a box; the box keeps only one of them."""
        if not self._epsilons.size:
            return np.zeros(len(self._boxes), bool)
        return (self._boxes == box).all(axis=1)

    def _order(self, candidate: Candidate) -> tuple[float, ...]:
        """Return a candidate's sort key; a box keeps the candidate with the smallest key.

        One that dominates another comes first even where rounding makes their distances equal.
        """
        values = costs([candidate], self._config)[0]
        inside = values / self._epsilons - self._box(candidate)
        return (float((inside**2).sum()), *values.tolist(), candidate.id)


def _dominates(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return whether rows of costs dominate other rows, with broadcasting."""
    return np.all(one <= other, axis=-1) & np.any(one < other, axis=-1)
