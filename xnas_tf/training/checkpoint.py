"""The state of a training between two steps, as bytes: npz, nothing pickled.

The leader saves it alone, without asking the other ranks: weights, optimizer, seeds and sums
are the same on all of them. What differs in the middle of an epoch are statistics such as
BatchNorm's moving ones, averaged over the ranks only at its end: the leader's are taken.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import XnasError
from xnas_tf.registry import describe


class CheckpointError(XnasError):
    """A checkpoint that is damaged, or not of this model."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training has come.

    Attributes:
        epoch: Epochs that are over.
        step: Steps done in the present one.
        totals: Sums of loss and right answers over those steps and all ranks.
        history: Figures of each epoch that is over.
    """

    epoch: int = 0
    step: int = 0
    totals: list[float] = field(default_factory=lambda: [0.0, 0.0])
    history: list[dict[str, float]] = field(default_factory=list)


def pack(progress: TrainingProgress, variables: Sequence[keras.Variable]) -> bytes:
    """Turns a state into bytes."""
    header = {"progress": asdict(progress), "variables": _kinds(variables)}
    # Raw bytes, since NumPy would not know bfloat16 again.
    contents = [tf.convert_to_tensor(variable).numpy().tobytes() for variable in variables]
    parts = [np.frombuffer(c, np.uint8) for c in (json.dumps(header).encode(), *contents)]
    file = io.BytesIO()
    np.savez(file, *parts)
    return file.getvalue()


def unpack(data: bytes, variables: Sequence[keras.Variable]) -> TrainingProgress:
    """Sets the variables to a state that was packed.

    Returns:
        How far the training had come.

    Raises:
        CheckpointError: If the bytes are damaged or don't fit; no variable was changed then.
    """
    try:
        progress, values = _read(data, _kinds(variables))
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise CheckpointError(f"it is damaged ({describe(error)})") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return progress


def _read(data: bytes, wanted: list[list[Any]]) -> tuple[TrainingProgress, list[np.ndarray]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        header, *contents = (file[f"arr_{i}"].tobytes() for i in range(len(file.files)))
    described = json.loads(header)
    _check(described["variables"], wanted)
    values = [
        np.frombuffer(content, tf.as_dtype(dtype).as_numpy_dtype).reshape(shape)
        for content, (dtype, shape) in zip(contents, wanted, strict=True)
    ]
    return TrainingProgress(**described["progress"]), values


def _kinds(variables: Sequence[keras.Variable]) -> list[list[Any]]:
    return [[keras.backend.standardize_dtype(v.dtype), list(v.shape)] for v in variables]


def _check(found: list[list[Any]], wanted: list[list[Any]]) -> None:
    if len(found) != len(wanted):
        raise CheckpointError(f"it has {len(found)} variables, the model {len(wanted)}")
    for number, (has, needs) in enumerate(zip(found, wanted, strict=True)):
        if has != needs:
            raise CheckpointError(f"its variable {number} is {has}, the model's {needs}")
