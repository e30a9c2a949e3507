"""When a search proposes nothing more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from xnas_tf.candidate import Candidate
from xnas_tf.execution.search_state import SearchState
from xnas_tf.storage.database import Database
from xnas_tf.strategy.options import SearchOptions

PATIENCE = 1000
"""Infeasible proposals and duplicates in a row after which a search gives up."""
PLATEAU_GROWTH = 0.001
"""Share by which hypervolume must grow, or it stands on a plateau."""
SPENT = "seconds_searched"


def spent(record: Database) -> float:
    """Seconds that the sessions of a run took, by its record: a session that was killed counts
    to the last outcome or checkpoint."""
    return float(record.fact(SPENT) or 0.0)


class StoppingCriteria:
    """Counts what a search has spent and found, against what its configuration allows.

    What was proposed is still trained when a limit is reached: it may be in flight, and a run
    that is killed and started again then trains the same.

    Args:
        search: The limits.
        record: The run's record, which keeps the time that earlier sessions spent.
        say: Hears why nothing more is proposed, when that comes about.
        clock: Seconds since any moment, as ``time.monotonic``.

    Attributes:
        trained: Trainings that have ended, without promotions.
    """

    def __init__(
        self,
        search: SearchOptions,
        record: Database,
        say: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._search = search
        self._record = record
        self._say = say
        self._clock = clock
        self._begin = clock() - spent(record)
        self._fronts: deque[Sequence[Candidate]] = deque(maxlen=(search.plateau or 0) + 1)
        self._in_vain = 0
        self._reason = ""
        self.trained = 0

    @property
    def seconds(self) -> float:
        """Time spent searching, over all sessions of the run."""
        return self._clock() - self._begin

    @property
    def has_time(self) -> bool:
        """Whether ``search.hours`` leave some; promotions go on at any other limit."""
        hours = self._search.hours
        if hours is None or self.seconds < hours * 3600:
            return True
        self.close(f"the search has taken {hours:g} h (search.hours)")
        return False

    def left(self, open_: int) -> int:
        """Trainings wanted beside those that have ended and those that are open."""
        return (
            0
            if self._reason or not self.has_time
            else self._search.candidates - self.trained - open_
        )

    def heed(self, candidate: Candidate, state: SearchState) -> None:
        """Hears of a candidate that has ended, and how the search stands with it."""
        if candidate.promoted_from:
            self._heed_front(state)
            return
        if candidate.trained:
            self.trained += 1
            self._heed_front(state)
        # Earlier runs answer for each of their networks once: that ends by itself.
        self._in_vain = 0 if candidate.counts else self._in_vain + 1
        if self._in_vain == PATIENCE:
            self.close(
                f"{PATIENCE} proposals in a row were infeasible or known networks, the last one: "
                f"{candidate.reason}; the search ends here"
            )

    def close(self, reason: str) -> None:
        """Lets nothing more be proposed; only the first reason is said."""
        if not self._reason:
            self._reason = reason
            self._say(reason)

    def save(self) -> None:
        """Records the time spent, for sessions to come."""
        self._record.set_fact(SPENT, round(self.seconds, 3))

    def end(self) -> None:
        """Records why the search ended."""
        reason = self._reason or f"{self.trained} candidates were trained (search.candidates)"
        self._record.set_fact("ended_because", reason)
        self.save()

    def _heed_front(self, state: SearchState) -> None:
        """Compares fronts rather than figures: generation 0 may change the unit of these. One
        of a higher fidelity is compared with none before."""
        plateau = self._search.plateau
        if plateau is None:
            return
        if self._fronts and _fidelity(self._fronts[-1]) != _fidelity(state.front):
            self._fronts.clear()
        self._fronts.append(state.front)
        if len(self._fronts) <= plateau:
            return
        before = state.measured(self._fronts[0])
        if 0 < before and state.hypervolume <= before * (1 + PLATEAU_GROWTH):
            self.close(
                f"the last {plateau} trainings added no more than {PLATEAU_GROWTH:.1%} to the "
                "hypervolume (search.plateau)"
            )


def _fidelity(front: Sequence[Candidate]) -> int:
    return front[0].epochs if front else 0
