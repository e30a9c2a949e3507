"""Decision variables of a search: what can be chosen, without Keras or TensorFlow.

A variable has an encoded form, on which variation works, and a value, which a HyperModel
gets. A ``Choice`` is encoded as the place of its value, a ``Range`` as a number in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Condition:
    """Active only where the variable called ``parent`` has one of ``values``."""

    parent: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """One value out of a finite sequence; ``ordered`` where near places are alike."""

    name: str
    values: Sequence[Any]
    ordered: bool = False
    conditions: tuple[Condition, ...] = ()

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)

    def decode(self, place: int) -> Any:
        """The value at a place."""
        return self.values[place]

    def sample(self, rng: np.random.Generator) -> int:
        """A place at random."""
        return int(rng.integers(self.size))

    def mutate(self, place: int, rng: np.random.Generator) -> int:
        """Another place: any other one, or where the values are ordered mostly a near one."""
        if self.size == 1:
            return place
        if not self.ordered:
            return int((place + rng.integers(1, self.size)) % self.size)
        step = int(rng.geometric(0.5)) * (1 if rng.random() < 0.5 else -1)
        moved = min(max(place + step, 0), self.size - 1)
        return moved if moved != place else place - step // abs(step)


MUTATION_WIDTH = 0.1
"""Standard deviation of a ``Range``'s mutation, as a share of the range."""


@dataclass(frozen=True)
class Range:
    """A number between two bounds; ``to_value`` maps [0, 1] to it (linear, log, …)."""

    name: str
    to_value: Callable[[float], float]
    conditions: tuple[Condition, ...] = ()
    size: float = float("inf")

    def decode(self, place: float) -> float:
        """The value at a place in [0, 1]."""
        return self.to_value(place)

    def sample(self, rng: np.random.Generator) -> float:
        """A place at random."""
        return float(rng.random())

    def mutate(self, place: float, rng: np.random.Generator) -> float:
        """A place near by, reflected at the bounds."""
        moved = abs(place + rng.normal(0, MUTATION_WIDTH)) % 2
        return min(moved, 2 - moved)


Variable = Choice | Range


def decode(variables: Sequence[Variable], encoded: Sequence[Any]) -> dict[str, Any]:
    """The values of the active variables by name, parents before their dependants."""
    values: dict[str, Any] = {}
    for variable, place in zip(variables, encoded, strict=True):
        if not variable.conditions or is_active(variable, values):
            values[variable.name] = variable.decode(place)
    return values


def is_active(variable: Variable, values: Mapping[str, Any]) -> bool:
    """Whether all conditions of a variable hold."""
    return all(values.get(c.parent) in c.values for c in variable.conditions)
