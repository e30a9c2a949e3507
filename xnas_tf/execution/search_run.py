"""The finished candidates of a search, and its run in progress, which callbacks receive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.storage.run import Run
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import Front, in_order

if TYPE_CHECKING:
    from xnas_tf.evaluation.backend import Backend


class SearchState:
    """All finished candidates, their Pareto front and its hypervolume.

    ``everyone`` has the candidates in the order in which they finished, without fields that only
    the database needs or metrics that no constraint needs.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.everyone: list[Candidate] = []
        self._front = Front(config)
        self._exact_front = Front(config, is_exact=True)
        self._meter = HypervolumeMeter([], config)
        # Replaced as a whole, because a callback may ask in another thread.
        self._measured: tuple[Sequence[Candidate], bool, float | None] = ((), False, None)

    @property
    def front(self) -> Sequence[Candidate]:
        """The Pareto front; replaced by a new list whenever it changes."""
        return self._front.candidates

    @property
    def hypervolume(self) -> float | None:
        """The hypervolume, recomputed only when it changes; None until its unit is known."""
        front, has_unit = self._exact_front.candidates, self._meter.has_unit
        measured = self._measured
        if measured[0] is not front or measured[1] != has_unit:
            measured = self._measured = front, has_unit, self._meter(front)
        return measured[2]

    def wants(self, candidate: Candidate) -> bool:
        """Return whether a candidate would be on the front."""
        return self._front.wants(candidate)

    def add(self, candidate: Candidate) -> None:
        """Add a candidate that has finished."""
        limited = {n: v for n, v in candidate.metrics.items() if n in self._config.constraints}
        self.everyone.append(replace(candidate, history=[], metrics=limited, versions={}))
        self._front.add(candidate)
        self._meter.update(candidate)
        self._exact_front.add(candidate)

    def explain_empty_front(self) -> str:
        """Explain why no candidate can be recommended."""
        counts = Counter(c.state for c in self.everyone if c.state != "done")
        kinds = [f"{count} {state}" for state, count in counts.items()]
        done = [c for c in self.everyone if c.state == "done"]
        kinds += [f"{len(done)} violate constraints"] if done else []
        limits = self._config.constraints
        nearest = min(done, key=lambda c: c.violation(limits), default=None)
        why = f"; the nearest, {nearest.id}: {nearest.violations(limits)}" if nearest else ""
        for state, verb in (("infeasible", "is infeasible"), ("failed", "failed")):
            first = next((c for c in self.everyone if c.state == state), None)
            why += f"; candidate {first.id} {verb}: {first.reason}" if first else ""
        total = f"of {len(self.everyone)}, {', '.join(kinds)}"
        return f"no candidate can be recommended: {total}{why}"


class SearchRun(Run):
    """The run of a search in progress, which has everything that a ``Run`` has.

    The front and the hypervolume are kept in memory, so callbacks can use them cheaply after each
    candidate.

    Attributes:
        backend: Queries saved models; set after the last candidate.
    """

    def __init__(
        self, path: Path, config: Config, state: SearchState, stop: Callable[[str], None]
    ) -> None:
        # Does not call Run's constructor, which would read data that the search has in memory.
        self.path, self.config = path, config
        self.backend: Backend | None = None
        self._state = state
        self._stop = stop
        # The front, and its copies in order. Replaced together: callbacks may ask in other threads.
        self._copied: tuple[Sequence[Candidate], list[Candidate]] = ((), [])

    def pareto(self) -> list[Candidate]:
        """Return the Pareto-optimal candidates, starting with the best in the first objective."""
        front, copied = self._state.front, self._copied
        if copied[0] is not front:
            known = {candidate.id: candidate for candidate in copied[1]}  # there may be thousands
            ordered = in_order(front, self.config)
            copied = self._copied = (
                front,
                [known.get(c.id) or self.located(deepcopy(c)) for c in ordered],
            )
        return list(copied[1])

    def hypervolume(self) -> float | None:
        """Return the hypervolume; see ``Run.hypervolume``."""
        return self._state.hypervolume

    def stop(self, reason: str) -> None:
        """End the search early: no candidates are proposed beyond those already being trained.

        The reason is printed and recorded. Starting the same search again continues the run.
        """
        self._stop(reason)
