"""The weights of classes in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xnas_tf.errors import InputError, suggest


def class_weights(given: Mapping[str, float], class_names: Sequence[str]) -> np.ndarray | None:
    """Return the weight of each class, (classes,), as float32; None if none is given.

    Weights are given by class name, or by class number if no class has that name.

    Raises:
        InputError: If a class does not exist, or is given twice.
    """
    if not given:
        return None
    numbers = {str(number): number for number in range(len(class_names))}
    known = numbers | {name: number for number, name in enumerate(class_names)}
    weights = np.full(len(class_names), np.nan, np.float32)
    for name, weight in given.items():
        if name not in known:
            raise InputError(f"training.class_weight: no class {suggest(name, class_names)}")
        if not np.isnan(weights[known[name]]):
            raise InputError(f"training.class_weight: class {known[name]} is given twice")
        weights[known[name]] = weight
    return np.nan_to_num(weights, nan=1.0)
