"""Reads tables of known results for NAS-Bench-201 cells."""

from __future__ import annotations

import contextlib
import csv
import gzip
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
NATS_DATASETS = ("cifar10", "cifar10-valid", "cifar100", "ImageNet16-120")
NATS_COSTS = ("flops", "params", "latency")
"""Costs: millions of operations, millions of parameters, and seconds per batch of 256 images."""


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
            ``arch,column…``; or NATS-Bench's files, the folder ``NATS-tss-v1_0-3ffb9-simple`` or
            the single large ``.pickle.pbz2`` file. A CSV file with a ``seed`` column has one row
            per genotype and seed: the values are averaged over all rows of a network and apply to
            all cells that build it.

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
        genotypes, columns = _read_nats_bench(path)
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


def _read_nats_bench(path: Path) -> tuple[list[str], dict[str, list[float]]]:
    """Read the genotypes of NATS-Bench's topology space and the results of its longest training.

    The files (Dong et al. 2021, arXiv 2009.00437) are read with the authors' package, which
    unpickles them. This can run code: use only the authors' files.

    The columns are accuracies in %, such as ``cifar10_test_accuracy`` and
    ``cifar100_valid_accuracy``, averaged over the training runs of a cell, and costs such as
    ``cifar10_flops``, ``cifar10_params`` and ``cifar10_latency``. Columns whose values are not
    known for every cell are left out.
    """
    try:
        import nats_bench
    except ImportError:
        needed = f"--table {path} needs the package nats-bench: pip install nats-bench"
        raise InputError(needed) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the package prints
            api = nats_bench.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
            genotypes = [api.arch(index) for index in range(len(api))]
            rows = [_metrics(api, index) for index in range(len(api))]
    except Exception as error:  # the package or pickle may raise anything
        raise InputError(f"--table {path} is not readable as NATS-Bench: {error!r}") from error
    known = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    return genotypes, {name: [row[name] for row in rows] for name in known}


def _metrics(api: Any, index: int) -> dict[str, float]:
    """Return all known results of a cell."""
    if api.fast_mode:  # a folder, with a file for each cell
        api.reload(api.archive_dir, index)
    epochs = max(api.arch2infos_dict[index], key=int)
    trained_on = api.arch2infos_dict[index][epochs].get_dataset_names()
    metrics: dict[str, float | None] = {}
    for dataset in filter(trained_on.__contains__, NATS_DATASETS):
        info = api.get_more_info(index, dataset, hp=epochs, is_random=False)
        for split in ("test", "valid"):
            metrics[f"{dataset}_{split}_accuracy"] = info.get(f"{split}-accuracy")
        costs = api.get_cost_info(index, dataset, hp=epochs)
        metrics |= {f"{dataset}_{name}": costs[name] for name in NATS_COSTS}
    del api.arch2infos_dict[index]  # all cells together take gigabytes
    return {name: value for name, value in metrics.items() if value is not None}
