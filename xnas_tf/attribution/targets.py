"""The classes that attributions explain."""

from __future__ import annotations

from typing import Any

import numpy as np

from xnas_tf.errors import InputError

Targets = Any
"""``"predicted"``, ``"all"``, one class number, or a class number for each image, (N,)."""


def checked_targets(targets: Any, count: int, classes: int) -> np.ndarray:
    """Targets other than words as class numbers, (N,).

    Raises:
        InputError: If they are no class numbers.
    """
    numbers = np.asarray(targets)
    if not (np.issubdtype(numbers.dtype, np.integer) and numbers.shape in ((), (count,))):
        raise InputError(
            f"targets are {str(targets)[:100]}; allowed: 'predicted', 'all', a class number, or "
            f"a class number for each of the {count} images"
        )
    wrong = numbers[(numbers < 0) | (numbers >= classes)]
    if wrong.size:
        raise InputError(
            f"target class {wrong.flat[0]} is out of range; allowed: 0 to {classes - 1}"
        )
    return np.broadcast_to(numbers, (count,))
