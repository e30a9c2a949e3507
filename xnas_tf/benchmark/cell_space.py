"""The cells of NAS-Bench-201 as a search space, for searches on a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.cells import (
    EDGES,
    OPERATIONS,
    format_genotype,
    live_edges,
    network_of,
    path_counts,
    plain,
)
from xnas_tf.spaces.variables import Choice


class CellSpace(Space):
    """The cells of NAS-Bench-201 as a search space without networks.

    Args:
        rows: The row of each cell in the table, by genotype.
    """

    variables = tuple(Choice(edge, OPERATIONS) for edge in EDGES)
    size = len(OPERATIONS) ** len(EDGES)

    def __init__(self, rows: Mapping[str, int]) -> None:
        self._rows = rows

    def genotype(self, values: Mapping[str, Any]) -> str:
        """Return the genotype string of a cell."""
        return format_genotype(values)

    def simplify(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the cell without its dead edges, if the table contains it."""
        simplified = plain(values)
        return simplified if format_genotype(simplified) in self._rows else values

    def identity(self, values: Mapping[str, Any]) -> str:
        """Return the canonical form of a cell's network."""
        return network_of(values)

    def infeasible(self, values: Mapping[str, Any]) -> str | None:
        """Return why a cell cannot be trained; None if it can be."""
        if not live_edges(values):
            return "the cell has no path from its input to its output"
        return None if self.genotype(values) in self._rows else "the cell is not in the table"

    def features(self, values: Mapping[str, Any]) -> list[float]:
        """Return the counts of operations on each path."""
        return path_counts(values)
