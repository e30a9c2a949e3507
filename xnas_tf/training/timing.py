"""Where the time of an evaluation goes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from xnas_tf.distributed import Communicator

if TYPE_CHECKING:
    import keras


class PhaseTimes(dict[str, float]):
    """Seconds by phase."""

    @contextmanager
    def timed(self, phase: str, within: str = "") -> Iterator[None]:
        """Adds the time spent inside to a phase, and takes it from the one it is within."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self[phase] = self.get(phase, 0.0) + spent
            if within:
                self[within] = self.get(within, 0.0) - spent


class TimedCommunicator:
    """A communicator whose operations count as ``communication``; waiting for others included.

    Args:
        communicator: What does the work.
        seconds: What the time is added to. The phases that communicate hold it too.
    """

    def __init__(self, communicator: Communicator, seconds: PhaseTimes) -> None:
        self._communicator = communicator
        self.count_in(seconds)
        self.rank, self.size = communicator.rank, communicator.size
        self.local_rank, self.local_size = communicator.local_rank, communicator.local_size

    def count_in(self, seconds: PhaseTimes) -> None:
        """From now on the time is added there, that of what was traced before too."""
        self.seconds = seconds
        self.seconds.setdefault("communication", 0.0)

    def broadcast(self, message: Any = None) -> Any:
        """See ``Communicator.broadcast``."""
        with self.seconds.timed("communication"):
            return self._communicator.broadcast(message)

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See ``Communicator.sum``."""
        with self.seconds.timed("communication"):
            return self._communicator.sum(*arrays)

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """See ``Communicator.broadcast_variables``."""
        with self.seconds.timed("communication"):
            self._communicator.broadcast_variables(variables)

    def sum_tensors(self, tensors: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """See ``Communicator.sum_tensors``; the clock is read before and after in the graph."""
        if self.size == 1:
            return self._communicator.sum_tensors(tensors, name)
        begin = _read_clock_after(tensors)
        with tf.control_dependencies([begin]):
            waiting = [tf.identity(tensor) for tensor in tensors]
        summed = self._communicator.sum_tensors(waiting, name)
        tf.numpy_function(self._add, [_read_clock_after(summed) - begin], [])
        return summed

    def _add(self, spent: float) -> None:
        self.seconds["communication"] += float(spent)


def _read_clock_after(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The time when they are known. Not by ``tf.timestamp``: deterministic runs forbid it."""
    with tf.control_dependencies(tensors):
        last = tf.identity(tensors[0])  # given to the clock, since a GPU only queues its work
    return tf.numpy_function(lambda _: time.perf_counter(), [last], tf.float64)
