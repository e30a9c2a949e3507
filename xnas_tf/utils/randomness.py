"""Python's global random generator, which Keras and Platypus use, for one thread at a time.

The watchdog's thread may report a hang to the search while the main thread builds models. Drawing
random numbers in one thread must not affect the other thread.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Seed the global generator inside the context, and restore its state afterwards."""
    with uninterrupted():
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep other threads from using the global generator inside the context."""
    with _lock:
        yield
