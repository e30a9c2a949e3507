"""Profiles one evaluation with TensorFlow's profiler, on request."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import tensorflow as tf

PROFILED = 2
"""Number of the evaluation that is profiled; the first one also warms up TensorFlow."""


class Profiler:
    """A profiler for the second evaluation in this process.

    It writes to ``plugins/profile`` in TensorBoard's log directory; None disables it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._evaluations = 0

    @property
    def is_waiting(self) -> bool:
        """Whether no evaluation has been profiled yet."""
        return self._path is not None and self._evaluations < PROFILED

    def over_evaluation(self) -> AbstractContextManager[None]:
        """Count an evaluation, and return a context that profiles only the second one.

        The profile of an interrupted evaluation is kept as well.
        """
        self._evaluations += 1
        if self._path is None or self._evaluations != PROFILED:
            return nullcontext()
        return tf.profiler.experimental.Profile(str(self._path))
