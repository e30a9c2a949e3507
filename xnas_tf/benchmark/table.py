"""Tables of known results of NAS-Bench-201's cells: what each reached when it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.cells import parse_genotype


@dataclass(frozen=True)
class Table:
    """Cells and figures of each.

    Attributes:
        name: The file's name.
        genotypes: Genotype strings (rows,), all different.
        columns: The figures by column, (rows,) each, as numbers or as their text.
        lines: The line of the file that each row is in.
    """

    name: str
    genotypes: tuple[str, ...]
    columns: Mapping[str, Sequence[str | float]]
    lines: Sequence[int]

    def column(self, name: str) -> np.ndarray:
        """A column's numbers, (rows,).

        Raises:
            InputError: If there is no such column, or what is in it is no finite number.
        """
        if name not in self.columns:
            raise InputError(f"{self.name}: there is no column {suggest(name, self.columns)}")
        return np.array(
            [
                self._number(name, value, line)
                for value, line in zip(self.columns[name], self.lines, strict=True)
            ]
        )

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
    """A genotype string, if it is one.

    Raises:
        InputError: Otherwise; the message begins with where the text is.
    """
    try:
        parse_genotype(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return text
