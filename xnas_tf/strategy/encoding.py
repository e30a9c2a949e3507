"""Numeric encoding of architectures, for models that learn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import Choice, Variable, is_active


class Encoding:
    """Numeric encoding of the hyperparameters of a search space.

    An unordered choice is encoded as a one-hot vector, an ordered choice as the index of its value,
    scaled to [0, 1], and a number as its position in its range. The features of an inactive
    variable are 0, and a conditional variable has one more feature: whether it is active. The
    features that the space itself defines come last.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._indices = [
            {value: index for index, value in enumerate(v.values)} if isinstance(v, Choice) else {}
            for v in space.variables
        ]

    def encode(self, values: Mapping[str, Any], encoded: Sequence[Any]) -> np.ndarray:
        """Encode an architecture.

        Args:
            values: Its active hyperparameters.
            encoded: Its encoded variables, of which only those of a ``Range`` are used.

        Returns:
            Array (features,), of the same length for all architectures.
        """
        features: list[float] = []
        for variable, indices, position in zip(
            self._space.variables, self._indices, encoded, strict=True
        ):
            # Different branches may have variables with the same name.
            active = variable.name in values and is_active(variable, values)
            if indices and active:
                position = indices[values[variable.name]]
            own = _features(variable, position)
            features += own if active else [0.0] * len(own)
            if variable.conditions:
                features.append(float(active))
        return np.array([*features, *self._space.features(values)], dtype=np.float64)


def _features(variable: Variable, position: Any) -> list[float]:
    if not isinstance(variable, Choice):
        return [position]
    if variable.ordered:
        return [position / max(variable.size - 1, 1)]
    return [float(position == index) for index in range(variable.size)]
