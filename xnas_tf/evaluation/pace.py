"""How many training steps are taken in one call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from xnas_tf.data import Part

SECONDS = 0.2
"""How long a call may take: between two, signals are heard and checkpoints are kept."""
MOST_STEPS = 16
"""A step of the quickstart's shared network took 8.0 ms in a call of eight and 9.9 ms alone."""
MOST_BYTES = 2**26
"""Of the images of a call."""


class Pace:
    """Takes as many batches at a time as there is time for.

    Attributes:
        steps: How many the next call takes, at most.
    """

    def __init__(self) -> None:
        self.steps = 1

    def strides(self, batches: Iterator[Part]) -> Iterator[list[Part]]:
        """All batches, some at a time."""
        while some := list(islice(batches, self.steps)):
            yield some

    def took(self, some: list[Part], seconds: float) -> None:
        """Notes how long a call took, by which the next ones go."""
        in_time = int(SECONDS * len(some) / seconds)
        in_memory = MOST_BYTES // max(1, some[0].images.nbytes)
        self.steps = max(1, min(in_time, in_memory, MOST_STEPS))
