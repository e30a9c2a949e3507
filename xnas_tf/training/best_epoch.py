"""The best epoch of training, and its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from xnas_tf.distributed import Communicator
from xnas_tf.training.checkpoint import TrainingProgress, pack, unpack


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """Return the number, from 1, of the epoch with the highest validation accuracy.

    Ties are broken by the lowest validation loss, and then by the first epoch.
    """
    losses = [(-epoch["val_accuracy"], epoch["val_loss"]) for epoch in history]
    return 1 + losses.index(min(losses))


class BestEpoch:
    """The weights of the best epoch so far, kept on rank 0.

    Attributes:
        epoch: Number of the best epoch, the same on all ranks; 0 until the first epoch has ended.
        weights: Weights of the best epoch as a checkpoint; empty on ranks other than 0.
    """

    def __init__(self, model: keras.Model, communicator: Communicator) -> None:
        self._model = model
        self._communicator = communicator
        self.epoch = 0
        self.weights = b""

    def update(self, history: Sequence[Mapping[str, float]]) -> None:
        """Keep the model's weights if the last epoch of a history is the best one."""
        self.epoch = self._communicator.broadcast(best_epoch(history))
        if self.epoch == len(history) and self._communicator.rank == 0:
            self.weights = pack(TrainingProgress(), self._model.variables)

    def restore(self) -> None:
        """Set the model's weights, on all ranks, to those of the best epoch."""
        if self._communicator.rank == 0:
            unpack(self.weights, self._model.variables)
        self._communicator.broadcast_variables(self._model.variables)
