"""Task sources: the interface between a worker and the coordinator, locally or over Ray."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import RLock
from types import SimpleNamespace
from typing import Any, Protocol, cast

from xnas_tf.candidate import Candidate, Result

Task = Candidate
"""A candidate to evaluate, which has no result yet."""


class TaskSource(Protocol):
    """A source of tasks that also receives their results, such as ``Coordinator``."""

    def ask(self, group: int = 0) -> Task | None:
        """Return the next task for a group of ranks; None if there is none at the moment."""

    def known(self, task: Task, result: Result) -> Result | None:
        """Return the known result of a network, given its digest and costs; None to train it."""

    def wants_model(self, task: Task, result: Result) -> bool:
        """Return whether to save a task's model."""

    def save_model(self, task: Task, data: bytes) -> None:
        """Save a model, given as the contents of a ``.keras`` file."""

    def save_checkpoint(self, task: Task, data: bytes) -> None:
        """Save a checkpoint of a candidate's training, replacing the previous one."""

    def checkpoint(self, task: Task) -> bytes:
        """Return the checkpoint from which training resumes; empty if there is none."""

    def on_epoch_end(self, task: Task, history: list[dict[str, float]]) -> None:
        """Report the end of an epoch, with the metrics of all of the task's epochs so far."""

    def tell(self, task: Task, result: Result) -> None:
        """Record the result of a task."""

    def lost(self, task: Task, why: str) -> None:
        """Record that a rank was lost while its group evaluated a task."""


def forwarding(call: Callable[..., Any]) -> TaskSource:
    """Return a task source whose methods are called as ``call(method, *arguments)``."""
    methods = [name for name in vars(TaskSource) if not name.startswith("_")]
    return cast(TaskSource, SimpleNamespace(**{name: partial(call, name) for name in methods}))


def local_source(
    source: TaskSource, transaction: Callable[[], AbstractContextManager[None]] = nullcontext
) -> TaskSource:
    """Return a task source in this process that several threads can use, one call at a time.

    Each call is a transaction. The watchdog's thread may report a hang during a call from the main
    thread.
    """
    lock = RLock()

    def call(method: str, *arguments: Any) -> Any:
        with lock, transaction():
            return getattr(source, method)(*arguments)

    return forwarding(call)
