"""Measures how much time an evaluation spends on communication between its ranks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from xnas_tf.distributed import Communicator
from xnas_tf.utils.phase_times import PhaseTimes

if TYPE_CHECKING:
    import keras


class TimedCommunicator(Communicator):
    """A communicator that measures how long its operations take, including waits for other ranks.

    The ``communication`` time is also included in the phases that communicate.
    """

    def __init__(self, communicator: Communicator, seconds: PhaseTimes) -> None:
        self._communicator = communicator
        self.count_in(seconds)
        self.rank, self.size = communicator.rank, communicator.size
        self.local_rank, self.local_size = communicator.local_rank, communicator.local_size

    def count_in(self, seconds: PhaseTimes) -> None:
        """From now on, add times to the given ``seconds``, even in graphs already traced."""
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
    """Return the time when tensors are computed; deterministic runs allow no ``tf.timestamp``."""
    with tf.control_dependencies(tensors):
        last = tf.identity(tensors[0])  # an input of the clock, as a GPU only queues its work
    return tf.numpy_function(lambda _: time.perf_counter(), [last], tf.float64)
