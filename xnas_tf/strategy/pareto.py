"""Pareto front and hypervolume of recorded candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import moocore
import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.goals import Goals


def costs(candidates: Sequence[Candidate], config: Goals) -> np.ndarray:
    """Objective values (candidates, objectives), turned so that less is better."""
    rows = [[o.sign * c.objectives[o.name] for o in config.objectives] for c in candidates]
    return np.array(rows, dtype=float).reshape(len(candidates), len(config.objectives))


def pareto_front(candidates: Iterable[Candidate], config: Goals) -> list[Candidate]:
    """The candidates that make up the front, in the order in which they were given."""
    front = Front(config)
    for candidate in candidates:
        front.add(candidate)
    return front.candidates


class Front:
    """The Pareto front as candidates become known, one by one.

    Those belong to it that are done, keep all constraints, and that no other such candidate
    dominates. ``search.epsilons`` make it an epsilon-Pareto set (Laumanns, Thiele, Deb and
    Zitzler 2002, section 4): space is divided into boxes, a box that another one dominates
    holds nobody, and every other one a single candidate: the one nearest to its best corner,
    in units of epsilon, then the one better in the first objective that differs, then the one
    with the lower id. So it is a part of the Pareto front, and the same whatever the order in
    which candidates arrive; and who belongs to it in the end did so all along, so that its
    model was kept.

    Values are compared within one fidelity: the highest that any such candidate has reached.

    Attributes:
        candidates: Those that belong to it; a new list whenever that changes.
    """

    def __init__(self, config: Goals) -> None:
        self._config = config
        epsilons = config.search.epsilons
        self._epsilons = np.array([epsilons[o.name] for o in config.objectives if epsilons])
        self.candidates: list[Candidate] = []
        self.epochs = 0
        """The fidelity of the candidates."""
        # Kept, as most newcomers don't belong here: with many groups a tenth of the coordinator's
        # time went into collecting them anew.
        self._boxes = costs([], config)

    def wants(self, new: Candidate) -> bool:
        """Whether a candidate belongs here."""
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
        """Takes a candidate in if it belongs here, in place of those that need not stay for
        it; returns whether it does."""
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
        """Where a candidate lies, (objectives,): its box; without epsilons its costs."""
        place = costs([candidate], self._config)[0]
        return np.floor(place / self._epsilons) if self._epsilons.size else place

    def _shares(self, box: np.ndarray) -> np.ndarray:
        """Whether each candidate here is in this box, in which there is room for one."""
        if not self._epsilons.size:
            return np.zeros(len(self._boxes), bool)
        return (self._boxes == box).all(axis=1)

    def _order(self, candidate: Candidate) -> tuple[float, ...]:
        """What the one is least in that a box keeps. Who dominates another one of its box comes
        first even where rounding makes their distances equal."""
        place = costs([candidate], self._config)[0]
        inside = place / self._epsilons - self._box(candidate)
        return (float((inside**2).sum()), *place.tolist(), candidate.id)


def _dominates(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether rows are nowhere worse and somewhere better than others, as they broadcast."""
    return (one <= other).all(axis=-1) & (one < other).any(axis=-1)


class HypervolumeMeter:
    """Hypervolume of a front.

    With ``search.reference`` each objective's gain over its reference value counts in units of
    that value's magnitude (of 1 where it is 0), and what is no better than the reference in an
    objective counts nothing: an absolute figure, by which runs can be compared. For objectives
    that cannot fall below 0 it is the share of the box between 0 and the reference.

    Without, it is measured in units of the box that the first generation spans, from the best
    to the worst value of every objective among the done candidates of generation 0; the worst
    corner is the reference point. This measure grows with the front, beyond 1 too. With several
    fidelities the box is that of the lowest one, which all of generation 0 have reached.

    Args:
        candidates: The first to be heeded; see ``heed``.
        config: The run's configuration.
    """

    def __init__(self, candidates: Iterable[Candidate], config: Goals) -> None:
        self._config = config
        size = len(config.objectives)
        self._first = 0
        self._best, self._worst = np.full(size, np.inf), np.full(size, -np.inf)
        for candidate in candidates:
            self.heed(candidate)

    def heed(self, candidate: Candidate) -> bool:
        """Hears of a candidate that has ended; returns whether the unit has changed."""
        is_of_the_first = not (candidate.generation or candidate.promoted_from)
        if self._config.search.reference or candidate.state != "done" or not is_of_the_first:
            return False
        row = costs([candidate], self._config)[0]
        self._first += 1
        self._best, self._worst = np.minimum(self._best, row), np.maximum(self._worst, row)
        return True

    def __call__(self, front: Sequence[Candidate]) -> float:
        """The hypervolume; 0 without a reference before generation 0 has two done candidates."""
        given = self._config.search.reference
        if not front or (not given and self._first < 2):
            return 0.0
        if given:
            reference = np.array([o.sign * given[o.name] for o in self._config.objectives])
            unit = np.abs(reference)
        else:
            reference, unit = self._worst, self._worst - self._best
        scaled = (costs(front, self._config) - reference) / np.where(unit > 0, unit, 1.0)
        return float(moocore.hypervolume(scaled, ref=np.zeros(len(reference))))
