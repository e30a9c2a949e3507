"""Collective operations on Horovod. Its core is used, not its Keras layer, which fails
under Keras 3 (docs/dependencies.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf


class HorovodCommunicator:
    """The ranks of a Horovod process set; all ranks of the job by default. See
    ``Communicator``."""

    def __init__(self, process_set: hvd.ProcessSet = hvd.global_process_set) -> None:
        self._set = process_set
        self.rank: int = process_set.rank()
        self.size: int = process_set.size()
        self.local_rank: int = hvd.local_rank()
        self.local_size: int = hvd.local_size()
        # Horovod names the source of a broadcast by its rank in the job.
        self._first = process_set.ranks[0] if process_set.ranks else 0

    def broadcast(self, message: Any = None) -> Any:
        """See ``Communicator.broadcast``. JSON, since Horovod's own objects are pickles."""
        data = np.frombuffer(json.dumps(message).encode(), np.uint8) if self.rank == 0 else None
        length = self._broadcast(tf.constant(0 if data is None else len(data)), "length")
        if data is None:
            data = np.zeros(int(length), np.uint8)
        return json.loads(self._broadcast(tf.constant(data), "message").numpy().tobytes())

    def _broadcast(self, tensor: tf.Tensor, name: str) -> tf.Tensor:
        return hvd.broadcast(tensor, self._first, name=name, process_set=self._set)

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See ``Communicator.sum``."""
        tensors = [tf.constant(array) for array in arrays]
        summed = hvd.grouped_allreduce(tensors, op=hvd.Sum, name="sum", process_set=self._set)
        return [tensor.numpy() for tensor in summed]

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """See ``Communicator.broadcast_variables``."""
        values = [variable.value for variable in variables]
        hvd.broadcast_variables(values, self._first, process_set=self._set)

    def sum_tensors(self, tensors: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """See ``Communicator.sum_tensors``."""
        return hvd.grouped_allreduce(list(tensors), op=hvd.Sum, name=name, process_set=self._set)
