"""What decides about candidates, as those who evaluate them see it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, Protocol


class TaskSource(Protocol):
    """Hands out candidates and takes their outcomes: ``Coordinator``, ``RetrainingSession``."""

    def next(self, group: int = 0) -> dict[str, Any] | None:
        """A task for a group; None while there is none."""

    def known(self, number: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """What is known already of a candidate's network, in place of its training."""

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """Whether a candidate's model is to be kept."""

    def keep_model(self, number: int, data: bytes) -> None:
        """Keeps it."""

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """Keeps what a candidate's training can go on from."""

    def checkpoint(self, number: int) -> bytes:
        """What was kept last; empty if nothing was."""

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """Takes a candidate's outcome."""

    def lost(self, number: int, why: str) -> None:
        """Hears that a rank of its group was lost while a candidate was evaluated."""

    def together(self) -> AbstractContextManager[None]:
        """Inside, everything is recorded at once when it ends."""


class LocalSource:
    """Asks a task source in this process, one thread at a time: the watchdog's may tell of a hang
    while the main thread asks for something.

    Args:
        source: The task source.
    """

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._turn = RLock()

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Calls a method of the task source; what it changes is recorded when this returns."""
        with self._turn, self._source.together():
            return getattr(self._source, method)(*arguments)
