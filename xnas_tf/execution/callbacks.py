"""Callbacks: called during a search, to show or log more than the database records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.storage.database import Database

if TYPE_CHECKING:  # xnas-tf status needs no TensorFlow
    from xnas_tf.data import Dataset
    from xnas_tf.evaluation.evaluator import Evaluator
    from xnas_tf.spaces.search_space import SearchSpace


class Callback:
    """Called during a search; does nothing. Subclasses show or log the search.

    A callback is a context manager: it is entered when the run directory is open, and exited when
    the search ends, whether or not it ends with an exception.
    """

    def __enter__(self) -> Callback:
        return self

    def __exit__(self, *_: object) -> None:
        """Called when the search has ended."""

    def on_candidate_end(
        self,
        candidate: Candidate,
        is_new: bool,
        front: Sequence[Candidate],
        hypervolume: float | None,
    ) -> None:
        """Called when a candidate has finished.

        Args:
            candidate: The candidate, in any state but running.
            is_new: Whether it was evaluated now rather than read from the database.
            front: The Pareto-optimal candidates so far.
            hypervolume: The hypervolume of the candidates so far; None until generation 0 is
                complete, and while a run is replayed.
        """

    def on_epoch_end(self, candidate: Candidate, epoch: int, logs: Mapping[str, float]) -> None:
        """Called when an epoch of a candidate's training has ended.

        Args:
            candidate: The candidate, with the ``history`` of its epochs so far.
            epoch: The number of the epoch, from 1.
            logs: The metrics of the epoch.
        """

    def on_generation_end(
        self,
        generation: int,
        candidates: Sequence[Candidate],
        front: Sequence[Candidate],
        hypervolume: float | None,
    ) -> None:
        """Called when a generation is complete; once per generation in the life of a run."""

    def on_message(self, text: str) -> None:
        """Called with a message for the user."""

    def on_search_end(self, evaluator: Evaluator) -> None:
        """Called after the last candidate, with the evaluator of this process."""


@dataclass(frozen=True)
class SearchContext:
    """The search that callbacks are created for, with the path of its run directory."""

    path: Path
    config: Config
    dataset: Dataset
    space: SearchSpace
    database: Database
    seconds_spent: float
    """Seconds that earlier sessions of the run took."""


MakeCallbacks = Callable[[SearchContext], Sequence[Callback]]


def no_callbacks(_context: SearchContext) -> Sequence[Callback]:
    """Return no callbacks."""
    return ()
