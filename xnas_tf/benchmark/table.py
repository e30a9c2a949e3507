"""Tables of known results of NAS-Bench-201's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.cells import parse_genotype


@dataclass(frozen=True)
class Table:
    """Known results of cells.

    Attributes:
        name: The file's name.
        genotypes: Genotype strings (rows,), all different.
        columns: Results (rows,) by the column's name, as numbers or text.
        lines: Line number of each row in the file.
    """

    name: str
    genotypes: tuple[str, ...]
    columns: Mapping[str, Sequence[str | float]]
    lines: Sequence[int]

    def column(self, name: str) -> np.ndarray:
        """Return the numbers of a column, (rows,).

        Raises:
            InputError: If there is no such column, or a value is not a finite number.
        """
        if name not in self.columns:
            raise InputError(f"{self.name}: there is no column {suggest(name, self.columns)}")
        pairs = zip(self.columns[name], self.lines, strict=True)
        return np.array([self._number(name, value, line) for value, line in pairs])

    def _number(self, column: str, value: str | float, line: int) -> float:
        try:
            number = float(value)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise InputError(
                f"{self.name}, line {line}, column {column}: given {value!r}; "
                "allowed: a finite number"
            )
        return number


def checked_genotype(text: str, where: str) -> str:
    """Return a genotype string after checking it.

    Raises:
        InputError: If it is not one; the message begins with ``where``.
    """
    try:
        parse_genotype(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return text
