"""The finished candidates of a search, their Pareto front and its hypervolume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import Front


class SearchState:
    """All finished candidates, their Pareto front and its hypervolume.

    Attributes:
        everyone: The candidates in the order in which they finished, without fields that only the
            database needs or metrics that no constraint needs.
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
