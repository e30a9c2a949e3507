"""Stopping criteria: when a search proposes no more candidates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from xnas_tf.candidate import Candidate
from xnas_tf.execution.search_run import SearchState
from xnas_tf.storage.database import Database
from xnas_tf.strategy.options import SearchOptions

PATIENCE = 1000
"""Number of consecutive infeasible proposals and duplicates after which a search stops."""
WARNED = 20
"""Number of infeasible proposals and duplicates after which a warning is given if nothing has been
trained yet."""
PLATEAU_GROWTH = 0.001
"""Relative growth up to which the hypervolume counts as being on a plateau."""
SPENT = "seconds_searched"


def spent(database: Database) -> float:
    """Return the total recorded seconds of a run's sessions.

    A session that was killed counts up to its last result or checkpoint.
    """
    return float(database.fact(SPENT) or 0.0)


@dataclass
class StoppingCriteria:
    """The stopping criteria of a search: time, trained candidates and lack of progress.

    Candidates that were proposed before a limit is reached are still trained. Training may already
    have begun, and a run that is killed and resumed must train the same candidates.

    ``notify`` is called with the reason when no more candidates are proposed, and ``clock`` returns
    seconds. ``trained`` is the number of candidates that have finished, without promotions.
    """

    search: SearchOptions
    database: Database
    notify: Callable[[str], None]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._begin = self.clock() - spent(self.database)
        self._volumes: deque[float | None] = deque(maxlen=(self.search.plateau or 0) + 1)
        """The hypervolume after each of the last candidates that were trained on its fidelity."""
        self._fidelity = 0
        self._fruitless = 0
        """Number of infeasible proposals and duplicates since the last other kind of candidate."""
        self._has_results = False
        self._reason = ""
        self._is_stopped = False
        self.trained = 0

    @property
    def seconds(self) -> float:
        """Time spent searching, over all sessions of the run."""
        return self.clock() - self._begin

    @property
    def has_time(self) -> bool:
        """Whether the search is still within ``search.hours``; no other limit stops promotions."""
        if self._is_stopped:
            return False
        hours = self.search.hours
        if hours is None or self.seconds < hours * 3600:
            return True
        self.close(f"the search has taken {hours:g} h (search.hours)")
        return False

    def left(self, pending: int) -> int:
        """Return how many candidates to propose besides the finished and pending ones."""
        if self._reason or not self.has_time:
            return 0
        return self.search.candidates - self.trained - pending

    def update(self, candidate: Candidate, state: SearchState) -> None:
        """Update the criteria with a finished candidate that is already part of the state."""
        if candidate.promoted_from:
            self._check_plateau(candidate, state)
            return
        if candidate.trained:
            self.trained += 1
            self._check_plateau(candidate, state)
        # Results reused from earlier runs count as well: each such network occurs only once.
        self._fruitless = 0 if candidate.counts else self._fruitless + 1
        self._has_results |= candidate.counts
        if self._fruitless == WARNED and not self._has_results:
            self.notify(
                f"warning: nothing has been trained yet, as {WARNED} proposals in a row were "
                f"infeasible or known networks (the last one: {candidate.reason}); the search "
                f"stops after {PATIENCE} of them"
            )
        if self._fruitless == PATIENCE and self.search.algorithm != "all":
            self.close(
                f"{PATIENCE} proposals in a row were infeasible or known networks (the last one: "
                f"{candidate.reason}); the search stops"
            )

    def close(self, reason: str) -> None:
        """Stop proposing candidates; only the first reason is reported."""
        if not self._reason:
            self._reason = reason
            self.notify(reason)

    def stop(self, reason: str) -> None:
        """Stop proposing and promoting candidates."""
        self._is_stopped = True
        self.close(reason)

    def save(self) -> None:
        """Record the time spent, for later sessions."""
        self.database.set_fact(SPENT, round(self.seconds, 3))

    def end(self) -> None:
        """Record why the search ended."""
        reason = self._reason or f"{self.trained} candidates were trained (search.candidates)"
        self.database.set_fact("ended_because", reason)
        self.save()

    def _check_plateau(self, candidate: Candidate, state: SearchState) -> None:
        """Stop if the hypervolume has hardly grown over the most recently trained candidates.

        A front at a higher fidelity is not compared with earlier fronts. Candidates of other
        fidelities than the front's do not count, because they cannot increase the hypervolume.
        """
        plateau = self.search.plateau
        if plateau is None:
            return
        fidelity = state.front[0].epochs if state.front else 0
        if fidelity != self._fidelity:
            self._fidelity = fidelity
            self._volumes.clear()
        if candidate.epochs != fidelity:
            return
        after = state.hypervolume
        self._volumes.append(after)
        before = self._volumes[0] if len(self._volumes) > plateau else None
        if before and after is not None and after <= before * (1 + PLATEAU_GROWTH):
            self.close(
                f"the last {plateau} trainings added no more than {PLATEAU_GROWTH:.1%} to the "
                "hypervolume (search.plateau)"
            )
