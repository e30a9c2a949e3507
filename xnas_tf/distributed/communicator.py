"""Collective operations between ranks, and their implementation for a single process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Communicator:
    """Collective operations, which all ranks must call in the same order.

    This base class implements the operations for a single rank. Ranks are numbered from 0, and
    ``local_rank`` is the number among the ``local_size`` ranks on this host.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    def broadcast(self, message: Any = None) -> Any:
        """Return rank 0's message, any JSON value, on all ranks."""
        return message

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Sum each array over all ranks; shapes and types must be the same on all of them."""
        return list(arrays)

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """Set variables to rank 0's values on all ranks."""

    def sum_tensors(self, tensors: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """Sum tensors over all ranks in a ``tf.function``; all ranks must use the same name."""
        return list(tensors)


class SingleProcess(Communicator):
    """The only rank of a job."""
