"""What a search has found by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.strategy.pareto import Front, HypervolumeMeter


class SearchState:
    """All candidates that have ended, their Pareto front and its hypervolume.

    Attributes:
        everyone: The candidates, in the order in which they ended, without what only the
            record needs of them.
    """

    def __init__(self, config: Config) -> None:
        self.everyone: list[Candidate] = []
        self._front = Front(config)
        self._meter = HypervolumeMeter([], config)
        self._volume: float | None = None

    @property
    def front(self) -> Sequence[Candidate]:
        """The Pareto front; another list whenever it has changed."""
        return self._front.candidates

    @property
    def hypervolume(self) -> float:
        """The front's hypervolume, measured again only when it has changed."""
        if self._volume is None:
            self._volume = self._meter(self.front)
        return self._volume

    def measured(self, front: Sequence[Candidate]) -> float:
        """The hypervolume of an earlier front, in the unit of today."""
        return self.hypervolume if front is self.front else self._meter(front)

    def wants(self, candidate: Candidate) -> bool:
        """Whether a candidate would be on the front."""
        return self._front.wants(candidate)

    def enter(self, candidate: Candidate) -> None:
        """Takes a candidate in that has ended."""
        self.everyone.append(replace(candidate, history=[], metrics={}, versions={}))
        has_new_unit = self._meter.heed(candidate)
        if self._front.add(candidate) or has_new_unit:
            self._volume = None

    def why_nothing(self) -> str:
        """Says why no candidate can be recommended."""
        failed = [c for c in self.everyone if c.state == "failed"]
        limits = f"{len(self.everyone) - len(failed)} kept no constraint, were infeasible or known"
        reason = f"; candidate {failed[0].id} failed: {failed[0].reason}" if failed else ""
        return (
            f"no candidate can be recommended: {len(failed)} of {len(self.everyone)} failed, "
            f"{limits}{reason}"
        )
