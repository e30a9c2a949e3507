"""Architectures in numbers, for models that learn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import Choice, Range, Variable, is_active


class Encoding:
    """Encodes the hyperparameters of a space.

    An unordered choice is one-hot; an ordered one, or a number, is its place between 0 and 1.
    Where a variable is not active its numbers are 0; one that may not be has a further number
    that says whether it is. The space's own ``features`` follow.

    Args:
        space: The search space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._places = [
            {value: place for place, value in enumerate(v.values)} if isinstance(v, Choice) else {}
            for v in space.variables
        ]

    def encode(self, values: Mapping[str, Any], encoded: Sequence[Any]) -> np.ndarray:
        """Encodes an architecture.

        Args:
            values: Its active hyperparameters.
            encoded: Its variables as variation has them; only numbers are read from them.

        Returns:
            (features,), always as many.
        """
        numbers: list[float] = []
        for variable, places, place in zip(
            self._space.variables, self._places, encoded, strict=True
        ):
            # Not by name: different branches may have a variable of the same name.
            active = variable.name in values and is_active(variable, values)
            if places and active:
                place = places[values[variable.name]]
            numbers += _numbers(variable, place) if active else [0.0] * _width(variable)
            if variable.conditions:
                numbers.append(float(active))
        return np.array([*numbers, *self._space.features(values)], dtype=np.float64)


def _is_one_hot(variable: Variable) -> bool:
    return isinstance(variable, Choice) and not variable.ordered


def _width(variable: Variable) -> int:
    return int(variable.size) if _is_one_hot(variable) else 1


def _numbers(variable: Variable, place: Any) -> list[float]:
    if _is_one_hot(variable):
        return [float(place == index) for index in range(int(variable.size))]
    return [place if isinstance(variable, Range) else place / max(variable.size - 1, 1)]
