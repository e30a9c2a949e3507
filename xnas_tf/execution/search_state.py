"""The finished candidates of a search, their Pareto front and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.strategy.pareto import Front, HypervolumeMeter


class SearchState:
    """All finished candidates, their Pareto front and its hypervolume.

    Attributes:
        everyone: The candidates in the order in which they finished, without the fields that
            only the database needs.
    """

    def __init__(self, config: Config) -> None:
        self.everyone: list[Candidate] = []
        self._front = Front(config)
        self._meter = HypervolumeMeter([], config)
        self._hypervolume: float | None = None

    @property
    def front(self) -> Sequence[Candidate]:
        """The Pareto front; a new list whenever it has changed."""
        return self._front.candidates

    @property
    def hypervolume(self) -> float:
        """The hypervolume of the front, computed only when it has changed."""
        if self._hypervolume is None:
            self._hypervolume = self._meter(self.front)
        return self._hypervolume

    def measured(self, front: Sequence[Candidate]) -> float:
        """Return the hypervolume of an earlier front in the current unit."""
        return self.hypervolume if front is self.front else self._meter(front)

    def wants(self, candidate: Candidate) -> bool:
        """Return whether a candidate would be on the front."""
        return self._front.wants(candidate)

    def add(self, candidate: Candidate) -> None:
        """Add a candidate that has finished."""
        self.everyone.append(replace(candidate, history=[], metrics={}, versions={}))
        has_new_unit = self._meter.update(candidate)
        if self._front.add(candidate) or has_new_unit:
            self._hypervolume = None

    def explain_empty_front(self) -> str:
        """Explain why no candidate can be recommended."""
        failed = [c for c in self.everyone if c.state == "failed"]
        limits = f"{len(self.everyone) - len(failed)} kept no constraint, were infeasible or known"
        reason = f"; candidate {failed[0].id} failed: {failed[0].reason}" if failed else ""
        return (
            f"no candidate can be recommended: {len(failed)} of {len(self.everyone)} failed, "
            f"{limits}{reason}"
        )
