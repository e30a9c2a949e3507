"""TensorFlow's profiler, on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

PROFILED = 2
"""The first evaluation of a process also warms TensorFlow up."""


class Profiler:
    """Profiles one evaluation of this process, its second.

    Args:
        path: The log directory of TensorBoard, in which the profile is found under
            ``plugins/profile``; None: nothing is profiled.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._evaluations = 0

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be profiled and was not yet."""
        return self._path is not None and self._evaluations < PROFILED

    @contextmanager
    def over_evaluation(self) -> Iterator[None]:
        """Around each evaluation. What an interrupted one did is kept too."""
        self._evaluations += 1
        if self._path is None or self._evaluations != PROFILED:
            yield
            return
        tf.profiler.experimental.start(str(self._path))
        try:
            yield
        finally:
            tf.profiler.experimental.stop()
