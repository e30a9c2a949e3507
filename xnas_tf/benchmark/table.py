"""Reads tables of known results for NAS-Bench-201 cells."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnas_tf.benchmark.nats_bench import read_nats_bench
from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.cells import (
    EDGES,
    all_operations,
    format_genotype,
    network_of,
    parse_genotype,
)

FOLDER = Path(__file__).parent / "tables"
"""Folder of the tables that are part of this package."""
TABLES = tuple(sorted(path.name.removesuffix(".csv.gz") for path in FOLDER.glob("*.csv.gz")))
"""Names of the packaged tables."""
SEED = "seed"


@dataclass(frozen=True)
class Table:
    """Known results of cells.

    Attributes:
        name: The file's name.
        genotypes: Distinct genotype strings, (rows,).
        columns: Results by column name, (rows,), as numbers or text.
        lines: Line number of each row in the file.
        is_of_networks: Whether each row applies to all cells that build the same network.
    """

    name: str
    genotypes: tuple[str, ...]
    columns: Mapping[str, Sequence[str | float]]
    lines: Sequence[int]
    is_of_networks: bool = False

    @property
    def rows(self) -> dict[str, int]:
        """The row of each cell, by genotype."""
        if not self.is_of_networks:
            return {genotype: row for row, genotype in enumerate(self.genotypes)}
        networks = {network_of(parse_genotype(g)): row for row, g in enumerate(self.genotypes)}
        cells = (dict(zip(EDGES, each, strict=True)) for each in all_operations())
        found = ((format_genotype(cell), networks.get(network_of(cell))) for cell in cells)
        return {genotype: row for genotype, row in found if row is not None}

    def column(self, name: str) -> np.ndarray:
        """Return the numbers of a column, (rows,).

        Raises:
            InputError: If the column does not exist, or a value is not a finite number.
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
        path: A name from ``TABLES``; a CSV file, optionally gzipped, with the header
            ``arch,column…``; or NATS-Bench's files (see ``read_nats_bench``). A file with a
            ``seed`` column has one row per genotype and seed: the values are averaged over all rows
            of a network and apply to all cells that build it.

    Raises:
        InputError: If the file is missing, or does not contain a table in one of these formats.
    """
    if not path.exists() and str(path) in TABLES:
        path = FOLDER / f"{path}.csv.gz"
    if not path.exists():
        near = [str(p) for p in path.parent.glob("*.csv*")] if path.parent.is_dir() else []
        near += TABLES
        raise InputError(f"--table: there is no file {suggest(str(path), near)}")
    if path.is_dir() or path.suffix == ".pbz2":
        genotypes, columns = read_nats_bench(path)
        for number, genotype in enumerate(genotypes):
            parse_genotype(genotype, f"{path.name}, cell {number}")
        return Table(path.name, tuple(genotypes), columns, range(len(genotypes)))
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
    has_seeds = SEED in header
    rows: dict[str, list[list[str]]] = {}
    first: dict[str, tuple[str, int]] = {}  # genotype and line of each network or cell
    trainings: dict[tuple[str, str], int] = {}
    for row in filter(None, reader):
        line = reader.line_num
        if len(row) != len(header):
            raise InputError(
                f"{name}, line {line}: {len(row)} values, but the header has {len(header)} columns"
            )
        genotype = row[header.index("arch")].strip()
        cell = parse_genotype(genotype, f"{name}, line {line}")
        seed = f" with seed {row[header.index(SEED)].strip()}" if has_seeds else ""
        if known := trainings.get((genotype, seed)):
            raise InputError(f"{name}, line {line}: {genotype}{seed} is already in line {known}")
        trainings[genotype, seed] = line
        unit = network_of(cell) if has_seeds else genotype
        rows.setdefault(unit, []).append(row)
        first.setdefault(unit, (genotype, line))
    if not rows:
        raise InputError(f"{name}: the table has no rows")
    columns = {
        column: [_mean([row[index] for row in each]) for each in rows.values()]
        for index, column in enumerate(header)
        if column not in ("arch", SEED)
    }
    genotypes, lines = zip(*first.values(), strict=True)
    return Table(name, genotypes, columns, lines, has_seeds)


def _mean(values: list[str]) -> str | float:
    """Return the mean over the rows with a value, or the first value if they are not numbers.

    A value that is the same in all rows, such as an index, is returned as it is.
    """
    given = [value for value in values if value.strip()]
    if len(set(given)) == 1:
        return given[0]
    try:
        return float(np.mean([float(value) for value in given])) if given else ""
    except ValueError:
        return given[0]


def _header(name: str, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if "arch" not in header:
        given = ", ".join(header) or "nothing"
        raise InputError(f"{name}, line 1: there is no column 'arch'; given {given}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise InputError(f"{name}, line 1: two columns are called {twice!r}")
    return header
