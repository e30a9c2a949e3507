"""Python's global random generator, which Keras and Platypus draw from, one thread at a time.

The watch's thread may tell the search of a hang while the main thread builds models, and what one
of them draws the other must not miss.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_turn = threading.RLock()


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Inside, the global generator is this thread's own, seeded; then it is as it was before.

    Args:
        seed: Drawn from a generator that was passed.
    """
    with uninterrupted():
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, no other thread has the global generator as its own."""
    with _turn:
        yield
