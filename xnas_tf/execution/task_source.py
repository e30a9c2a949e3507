"""Task sources: the one interface between workers and the coordinator, here or through Ray."""

from __future__ import annotations

from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, Protocol


class TaskSource(Protocol):
    """Hands out tasks and takes their results; see ``Coordinator`` and ``RetrainingSession``.

    A candidate is given by its id. Results are given by the fields of ``Result``, see
    ``Result.as_dict``.
    """

    def next(self, group: int = 0) -> dict[str, Any] | None:
        """Return the next task for a group, as fields of ``Candidate``; None if there is none."""

    def known(self, number: int, result: dict[str, Any]) -> dict[str, Any] | None:
        """Return the known result of a candidate's network, to use instead of training it."""

    def wants_model(self, number: int, result: dict[str, Any]) -> bool:
        """Return whether a candidate's model is to be saved."""

    def save_model(self, number: int, data: bytes) -> None:
        """Save a candidate's model."""

    def save_checkpoint(self, number: int, data: bytes) -> None:
        """Save a checkpoint of a candidate's training."""

    def checkpoint(self, number: int) -> bytes:
        """Return the latest checkpoint; empty if there is none."""

    def tell(self, number: int, result: dict[str, Any]) -> None:
        """Record a candidate's result."""

    def lost(self, number: int, why: str) -> None:
        """Record that a rank of its group was lost while a candidate was evaluated."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all changes made inside the context at once."""


class LocalSource:
    """Calls a task source in this process, in one thread at a time.

    The watchdog's thread may report a hang while the main thread is in a call.

    Args:
        source: The task source.
    """

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._lock = RLock()

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Call a method of the task source; its changes are committed when this returns."""
        with self._lock, self._source.transaction():
            return getattr(self._source, method)(*arguments)
