"""The run of a search in progress, which callbacks receive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.execution.search_state import SearchState
from xnas_tf.storage.run import Run
from xnas_tf.strategy.pareto import in_order

if TYPE_CHECKING:
    from xnas_tf.evaluation.backend import Backend


class SearchRun(Run):
    """The run of a search in progress.

    A search's run has everything that a ``Run`` has. The front and the hypervolume are kept in
    memory, so callbacks can use them cheaply after each candidate.

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
