"""Measures how much time each phase of an evaluation takes; does not import TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class PhaseTimes(dict[str, float]):
    """Seconds spent in each phase."""

    @contextmanager
    def timed(self, phase: str, within: str = "") -> Iterator[None]:
        """Add the time spent in the context to a phase.

        It is subtracted from the enclosing phase ``within``, which also measures it.
        """
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self[phase] = self.get(phase, 0.0) + spent
            if within:
                self[within] = self.get(within, 0.0) - spent
