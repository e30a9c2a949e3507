"""Signs of life from work that takes long, for whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


def _nobody() -> None:
    pass


_listener: ContextVar[Callable[[], None]] = ContextVar("listener", default=_nobody)


def beat() -> None:
    """Tells the listener that the work goes on; called after every few batches of anything.

    Raises:
        Exception: Whatever the listener raises to end the work.
    """
    _listener.get()()


@contextmanager
def heard_by(listener: Callable[[], None]) -> Iterator[None]:
    """Inside, in this thread, a function is called at each beat."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
