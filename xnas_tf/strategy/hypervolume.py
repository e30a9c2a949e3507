"""Hypervolume of the front of recorded candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.options import Goals
from xnas_tf.strategy.pareto import costs


@dataclass(frozen=True)
class Box:
    """The unit of a hypervolume."""

    worst: np.ndarray  # the reference point, as costs (objectives,)
    sides: np.ndarray  # lengths of the box's sides, all above 0, (objectives,)

    def share(self, front: Sequence[Candidate], config: Goals) -> float:
        """Return the volume between a front and the reference point, in units of the box."""
        if not front:
            return 0.0
        scaled = (costs(front, config) - self.worst) / self.sides
        return float(moocore.hypervolume(scaled, ref=np.zeros(len(self.worst))))


def spanned_box(candidates: Sequence[Candidate], config: Goals) -> Box:
    """Return the box from the best to the worst value of every objective among the candidates.

    Where all candidates have the same value, the side is the distance to the best possible value,
    and the reference point is worse by this distance, so the objective does not change the volume.
    """
    rows = costs(candidates, config)
    worst = rows.max(axis=0)
    spread = worst - rows.min(axis=0)
    sides = np.where(spread > 0, spread, _to_the_best(worst, config))
    return Box(np.where(spread > 0, worst, worst + sides), sides)


def reference_box(config: Goals) -> Box:
    """Return the box from ``search.reference`` to the best possible value of every objective."""
    given = config.search.reference
    worst = np.array([o.sign * given[o.name] for o in config.objectives])
    return Box(worst, _to_the_best(worst, config))


def _to_the_best(worst: np.ndarray, config: Goals) -> np.ndarray:
    """Return the distances of costs from the best possible costs; 1 where these are not known."""
    distances = worst - np.array([o.sign * o.best for o in config.objectives])
    return np.where((distances > 0) & np.isfinite(distances), distances, 1.0)


class HypervolumeMeter:
    """Measures a front's hypervolume in a unit that stays fixed once it has been determined.

    With ``search.reference``, the unit is ``reference_box``. A candidate that is no better than the
    reference in at least one objective adds nothing. This hypervolume depends only on the front, so
    it can be used to compare runs.

    Without a reference, the unit is ``spanned_box`` of generation 0. This hypervolume can exceed 1.
    The unit is known once there are as many results as the population has members, and at least two
    of them are done; with several fidelities, only results of the lowest one count.

    With the front of ``Front(config, is_exact=True)``, the hypervolume rises with every candidate
    that enters the front, and never falls within a fidelity.

    ``candidates`` are the first ones in the order in which they ended; ``box`` is a fixed unit to
    use instead.
    """

    def __init__(
        self, candidates: Iterable[Candidate], config: Goals, box: Box | None = None
    ) -> None:
        self._config = config
        self._box = reference_box(config) if box is None and config.search.reference else box
        self._results = 0
        self._done: list[Candidate] = []
        for candidate in candidates:
            self.update(candidate)

    @property
    def has_unit(self) -> bool:
        """Whether the unit is known."""
        return self._box is not None

    def update(self, candidate: Candidate) -> bool:
        """Update the unit with a candidate that has ended; return whether the unit is now known."""
        if self.has_unit or not candidate.counts or candidate.promoted_from:
            return False
        self._results += 1
        if candidate.state == "done":
            self._done.append(candidate)
        if self._results >= self._config.search.population and len(self._done) > 1:
            self._box = spanned_box(self._done, self._config)
            self._done = []
        return self.has_unit

    def __call__(self, front: Sequence[Candidate]) -> float | None:
        """Return the hypervolume of a front; None until the unit is known."""
        return self._box.share(front, self._config) if self._box else None
