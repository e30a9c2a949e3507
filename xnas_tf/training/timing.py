"""Measures how much time each phase of an evaluation takes."""

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
    """Seconds spent in each phase."""

    @contextmanager
    def timed(self, phase: str, within: str = "") -> Iterator[None]:
        """Add the time spent in the context to a phase.

        Args:
            phase: Name of the phase.
            within: Phase that also measures this time, from which it is subtracted.
        """
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self[phase] = self.get(phase, 0.0) + spent
            if within:
                self[within] = self.get(within, 0.0) - spent


class TimedCommunicator(Communicator):
    """A communicator that measures the time of its operations, including waiting for others.

    Args:
        communicator: The communicator to use.
        seconds: Times to which ``communication`` is added. The phases that communicate contain
            this time too.
    """

    def __init__(self, communicator: Communicator, seconds: PhaseTimes) -> None:
        self._communicator = communicator
        self.count_in(seconds)
        self.rank, self.size = communicator.rank, communicator.size
        self.local_rank, self.local_size = communicator.local_rank, communicator.local_size

    def count_in(self, seconds: PhaseTimes) -> None:
        """Add the time to other times from now on, also in graphs that are already traced."""
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
        """See ``Communicator.sum_tensors``; the graph reads the clock before and after."""
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
    """Return the time when tensors are computed. Deterministic runs forbid ``tf.timestamp``."""
    with tf.control_dependencies(tensors):
        last = tf.identity(tensors[0])  # an input of the clock, as a GPU only queues its work
    return tf.numpy_function(lambda _: time.perf_counter(), [last], tf.float64)
