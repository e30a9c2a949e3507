"""Hyperparameters as columns: the values that occur, and the value of each candidate."""

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
        values: The distinct values: numbers in ascending order, then strings.
        places: For each candidate, the index of its value in ``values``; -1 if not active.
    """

    name: str
    values: list[Any]
    places: list[int]


def hyperparameters(candidates: Sequence[Candidate]) -> list[Hyperparameter]:
    """Return the hyperparameters of candidates, in the order in which they first occur."""
    rows = [candidate.hyperparameters for candidate in candidates]
    columns = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = sorted({row[name] for row in rows if name in row}, key=_order)
        index = {value: i for i, value in enumerate(values)}
        places = [index[row[name]] if name in row else -1 for row in rows]
        columns.append(Hyperparameter(name, values, places))
    return columns


def _order(value: Any) -> tuple[bool, Any]:
    return (isinstance(value, str), value)
