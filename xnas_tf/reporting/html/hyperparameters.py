"""Hyperparameters as columns: what occurs, and which candidate has which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xnas_tf.candidate import Candidate


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter of all candidates.

    Attributes:
        name: Its name.
        values: All values that occur: numbers by size, then texts.
        places: Of each candidate the place of its value in ``values``; -1 where it is not active.
    """

    name: str
    values: list[Any]
    places: list[int]


def hyperparameters(candidates: Sequence[Candidate]) -> list[Hyperparameter]:
    """The hyperparameters of candidates, in the order in which they first occur."""
    rows = [candidate.hyperparameters for candidate in candidates]
    found = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = sorted({row[name] for row in rows if name in row}, key=_order)
        places = {value: place for place, value in enumerate(values)}
        column = [places[row[name]] if name in row else -1 for row in rows]
        found.append(Hyperparameter(name, values, column))
    return found


def _order(value: Any) -> tuple:
    return (isinstance(value, str), value)
