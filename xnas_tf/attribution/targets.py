"""Selects the outputs that attributions explain: the kind of output and the target classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from xnas_tf.errors import InputError

Output = Literal["logits", "probabilities"]
"""The output to explain, before or after the softmax, which the model itself may lack."""
Targets = Any
"""``"predicted"``, ``"all"``, one class index, or a class index for each image, (N,)."""


def checked_targets(targets: Any, count: int, classes: int) -> np.ndarray:
    """Validate the class indices for ``count`` images and return one per image, (N,).

    Raises:
        InputError: If the targets are not class indices.
    """
    indices = np.asarray(targets)
    if not (np.issubdtype(indices.dtype, np.integer) and indices.shape in ((), (count,))):
        raise InputError(
            f"targets are {str(targets)[:100]}; allowed: 'predicted', 'all', a class number, or "
            f"a class number for each of the {count} images"
        )
    wrong = indices[(indices < 0) | (indices >= classes)]
    if wrong.size:
        raise InputError(
            f"target class {wrong.flat[0]} is out of range; allowed: 0 to {classes - 1}"
        )
    return np.broadcast_to(indices, (count,))
