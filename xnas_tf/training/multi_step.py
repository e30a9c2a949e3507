"""How many training steps are taken in one call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import numpy as np

from xnas_tf.data import Split

SECONDS = 0.2
"""How long a call may take, with what it takes to load its batches: between two calls signals are
heard and checkpoints are kept."""
MOST_STEPS = 16
"""The quickstart's shared network took 8.8 ms a step in calls of one, 7.9 in those of 8 and 7.8 in
those of 16 for a light cell; 21.3, 19.7 and 18.6 for a heavy one."""
MOST_BYTES = 2**22
"""Of the images of a call, which are there as batches, together and as a tensor, beside the next
ones. Steps with more take so long that it does not matter what a call costs."""


class MultiStep:
    """Takes as many batches at a time as there is time for.

    Attributes:
        steps: How many the next call takes, at most.
    """

    def __init__(self) -> None:
        self.steps = 1

    def strides(self, batches: Iterator[Split]) -> Iterator[list[Split]]:
        """All batches, some at a time. Until it is asked for the next ones, time is taken."""
        begin = time.perf_counter()
        while some := list(islice(batches, self.steps)):
            yield some
            now = time.perf_counter()
            self._took(some, now - begin)
            begin = now

    def _took(self, some: list[Split], seconds: float) -> None:
        in_time = int(SECONDS * len(some) / seconds)
        in_memory = MOST_BYTES // max(1, some[0].images.nbytes)
        self.steps = max(1, min(in_time, in_memory, MOST_STEPS))


def stacked(batches: list[Split]) -> tuple[np.ndarray, np.ndarray]:
    """Images (K, B, H, W, C) and labels (K, B) of some batches."""
    images = np.stack([batch.images for batch in batches])
    return images, np.stack([batch.labels for batch in batches])
