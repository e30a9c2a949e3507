"""Seeds candidates, and lets only one thread at a time use Python's global random generator.

Keras and Platypus use the global generator. The watchdog's thread may report a hang to the search
while the main thread is building models, and must not affect its random numbers.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

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
def kept_generators() -> Iterator[None]:
    """Restore the global generators of Python and NumPy when the context ends.

    Keras seeds both for each candidate. Without this, a caller who draws random numbers between two
    searches, for instance to divide the images, could get the same numbers each time.
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep other threads from using the global generator inside the context."""
    with _lock:
        yield


def candidate_seed(search_seed: int, genotype: str) -> int:
    """Return the seed of a candidate's training, which depends only on these arguments."""
    digest = hashlib.sha256(genotype.encode()).digest()
    words = np.frombuffer(digest[:16], "<u4").tolist()
    return int(np.random.SeedSequence([search_seed, *words]).generate_state(1)[0] >> 1)
