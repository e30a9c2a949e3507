"""Reads tables of known results of NAS-Bench-201's cells."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnas_tf.benchmark.nats_bench import read_nats_bench
from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.cells import parse_genotype


@dataclass(frozen=True)
class Table:
    """Known results of cells.

    Attributes:
        name: The file's name.
        genotypes: Genotype strings (rows,), all different.
        columns: Results (rows,) by column name, as numbers or text.
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


def read_table(path: Path) -> Table:
    """Read a table.

    Args:
        path: A CSV file with the header ``arch,column…``, which may be compressed (``.gz``), or
            the files of NATS-Bench; see ``read_nats_bench``.

    Raises:
        InputError: If the file is missing, or does not contain a table in one of these forms.
    """
    if not path.exists():
        near = [str(p) for p in path.parent.glob("*.csv*")] if path.parent.is_dir() else []
        raise InputError(f"--table: there is no file {suggest(str(path), near)}")
    if path.is_dir() or path.suffix == ".pbz2":
        genotypes, columns = read_nats_bench(path)
        numbers = range(len(genotypes))
        checked = [_checked_genotype(genotypes[i], f"{path.name}, cell {i}") for i in numbers]
        return Table(path.name, tuple(checked), columns, numbers)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(
            path, "rt", encoding="utf-8-sig", newline=""
        ) as file:
            return _parse(path.name, file)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--table {path} cannot be read: {error}") from error


def _parse(name: str, text: Iterable[str]) -> Table:
    reader = csv.reader(text)
    header = _header(name, next(reader, []))
    arch = header.index("arch")
    rows: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for row in filter(None, reader):
        line = reader.line_num
        if len(row) != len(header):
            raise InputError(
                f"{name}, line {line}: {len(row)} values, but the header has {len(header)} columns"
            )
        genotype = _checked_genotype(row[arch].strip(), f"{name}, line {line}")
        if genotype in lines:
            known = lines[genotype]
            raise InputError(f"{name}, line {line}: {genotype} is already in line {known}")
        rows[genotype], lines[genotype] = row, line
    if not rows:
        raise InputError(f"{name}: the table has no rows")
    columns = dict(zip(header, zip(*rows.values(), strict=True), strict=True))
    del columns["arch"]
    return Table(name, tuple(rows), columns, tuple(lines.values()))


def _header(name: str, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if "arch" not in header:
        given = ", ".join(header) or "nothing"
        raise InputError(f"{name}, line 1: there is no column 'arch'; given {given}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise InputError(f"{name}, line 1: two columns are called {twice!r}")
    return header


def _checked_genotype(text: str, where: str) -> str:
    try:
        parse_genotype(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return text
