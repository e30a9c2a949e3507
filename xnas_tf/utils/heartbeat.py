"""Heartbeats of long-running work, which let a watchdog detect hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[], None]] = ContextVar("listener", default=lambda: None)


def report_progress() -> None:
    """Call the current listener. Long-running work calls this every few batches.

    The listener may raise any exception to stop the work.
    """
    _listener.get()()


@contextmanager
def on_progress(listener: Callable[[], None]) -> Iterator[None]:
    """Inside the context, call a function on each of this thread's heartbeats."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
