"""Collective operations with Horovod.

Only Horovod's core is used. Horovod's Keras layer fails with Keras 3
(docs/contributing/dependencies.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from xnas_tf.distributed.communicator import Communicator


class HorovodCommunicator(Communicator):
    """All ranks of the job."""

    def __init__(self) -> None:
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()

    def broadcast(self, message: Any = None) -> Any:
        """See ``Communicator.broadcast``."""
        # JSON rather than ``hvd.broadcast_object``, which unpickles the data that it receives.
        data = np.frombuffer(json.dumps(message).encode(), np.uint8) if self.rank == 0 else None
        length = hvd.broadcast(tf.constant(0 if data is None else len(data)), 0, name="length")
        if data is None:
            data = np.zeros(int(length), np.uint8)
        return json.loads(hvd.broadcast(tf.constant(data), 0, name="message").numpy().tobytes())

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See ``Communicator.sum``."""
        tensors = [tf.constant(array) for array in arrays]
        return [tensor.numpy() for tensor in self.sum_tensors(tensors, "sum")]

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """See ``Communicator.broadcast_variables``."""
        hvd.broadcast_variables([variable.value for variable in variables], 0)

    def sum_tensors(self, tensors: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """See ``Communicator.sum_tensors``; Horovod sums all tensors of a type together."""
        summed = list(tensors)
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            places = [i for i, tensor in enumerate(tensors) if tensor.dtype == dtype]
            group = [tensors[i] for i in places]
            totals = hvd.grouped_allreduce(group, op=hvd.Sum, name=f"{name}_{dtype.name}")
            for i, total in zip(places, totals, strict=True):
                summed[i] = total
        return summed
