"""What ranks say to each other, and the trivial case of a single process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Communicator(Protocol):
    """Collective operations: every rank calls each of them, in the same order."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    def broadcast(self, message: Any = None) -> Any:
        """Returns rank 0's message, anything that JSON can hold, on every rank."""

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Sums each array over the ranks; shapes and types must agree."""

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """Gives rank 0's values of variables to every rank."""

    def sum_tensors(self, tensors: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """Sums tensors over the ranks inside a ``tf.function``; ``name`` tells calls apart."""


class SingleProcess:
    """One process that is all there is."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1

    def broadcast(self, message: Any = None) -> Any:
        """See ``Communicator.broadcast``."""
        return message

    def sum(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """See ``Communicator.sum``."""
        return list(arrays)

    def broadcast_variables(self, variables: Sequence[keras.Variable]) -> None:
        """See ``Communicator.broadcast_variables``."""

    def sum_tensors(self, tensors: Sequence[tf.Tensor], name: str) -> list[tf.Tensor]:
        """See ``Communicator.sum_tensors``."""
        return list(tensors)
