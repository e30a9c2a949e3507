"""Checkpoints between two training steps, as bytes in NumPy's npz format, without pickle.

Only rank 0 saves checkpoints, without collective operations: weights, optimizer state, seeds and
totals are the same on all ranks. Only statistics such as BatchNorm's moving averages differ in the
middle of an epoch, since they are averaged over the ranks only at its end; rank 0's statistics are
saved. Rank 0 also keeps the weights of the best epoch as a checkpoint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.distributed import Communicator
from xnas_tf.errors import XnasError
from xnas_tf.registry import describe


class CheckpointError(XnasError):
    """A checkpoint that is damaged or belongs to another model."""


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of training.

    Attributes:
        epoch: Number of completed epochs.
        step: Number of completed steps of the current epoch.
        metrics: Loss and metrics of the current epoch once all its steps are completed.
        history: Metrics of each completed epoch.
        early: Further metrics that were recorded after completed epochs.
    """

    epoch: int = 0
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    early: dict[str, float] = field(default_factory=dict)


def pack(progress: TrainingProgress, variables: Sequence[keras.Variable]) -> bytes:
    """Convert the progress and variables of training to a checkpoint."""
    header = {"progress": asdict(progress), "variables": _types_and_shapes(variables)}
    # Saved as raw bytes, since NumPy cannot load bfloat16.
    contents = [tf.convert_to_tensor(variable).numpy().tobytes() for variable in variables]
    arrays = [np.frombuffer(c, np.uint8) for c in (json.dumps(header).encode(), *contents)]
    file = io.BytesIO()
    np.savez(file, *arrays)
    return file.getvalue()


def unpack(data: bytes, variables: Sequence[keras.Variable]) -> TrainingProgress:
    """Set variables, in the order of ``pack``, to a checkpoint's values, and return the progress.

    Raises:
        CheckpointError: If the checkpoint is damaged or does not match the variables, none of which
            is changed.
    """
    try:
        progress, values = _read(data, _types_and_shapes(variables))
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise _damaged(error) from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return progress


def join(state: bytes, weights: bytes) -> bytes:
    """Combine a checkpoint with the weights of an earlier epoch."""
    file = io.BytesIO()
    np.savez(file, *(np.frombuffer(each, np.uint8) for each in (state, weights)))
    return file.getvalue()


def split(data: bytes) -> tuple[bytes, bytes]:
    """Undo ``join``; raise a ``CheckpointError`` if the checkpoint is damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return file["arr_0"].tobytes(), file["arr_1"].tobytes()
    except Exception as error:  # a damaged file fails in many ways
        raise _damaged(error) from error


def _damaged(error: Exception) -> CheckpointError:
    return CheckpointError(f"it is damaged ({describe(error)})")


def _read(data: bytes, expected: list[list[Any]]) -> tuple[TrainingProgress, list[np.ndarray]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        header, *contents = (file[f"arr_{i}"].tobytes() for i in range(len(file.files)))
    fields = json.loads(header)
    _check(fields["variables"], expected)
    values = [
        np.frombuffer(content, tf.as_dtype(dtype).as_numpy_dtype).reshape(shape)
        for content, (dtype, shape) in zip(contents, expected, strict=True)
    ]
    return TrainingProgress(**fields["progress"]), values


def _types_and_shapes(variables: Sequence[keras.Variable]) -> list[list[Any]]:
    return [[keras.backend.standardize_dtype(v.dtype), list(v.shape)] for v in variables]


def _check(found: list[list[Any]], expected: list[list[Any]]) -> None:
    if len(found) != len(expected):
        raise CheckpointError(f"it has {len(found)} variables, but the model has {len(expected)}")
    for index, (saved, needed) in enumerate(zip(found, expected, strict=True)):
        if saved != needed:
            raise CheckpointError(f"its variable {index} is {saved}, but the model's is {needed}")


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """Return the first epoch, from 1, with the highest validation accuracy, then lowest loss."""
    losses = [(-epoch["val_accuracy"], epoch["val_loss"]) for epoch in history]
    return 1 + losses.index(min(losses))


class BestEpoch:
    """The weights of the best epoch so far, kept on rank 0 as a checkpoint.

    ``epoch`` is the number of the best epoch, on all ranks; 0 until the first epoch has ended.
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
