"""Reading tables of known results."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

from xnas_tf.benchmark.nats_bench import read_nats_bench
from xnas_tf.benchmark.table import Table, checked_genotype
from xnas_tf.errors import InputError, suggest


def read_table(path: Path) -> Table:
    """Read a table.

    Args:
        path: A CSV file with the header ``arch,column…``, which may be compressed (``.gz``), or
            the files of NATS-Bench, see ``read_nats_bench``.

    Raises:
        InputError: If the file is missing or is not such a table.
    """
    if not path.exists():
        near = [str(p) for p in path.parent.glob("*.csv*")] if path.parent.is_dir() else []
        raise InputError(f"--table: there is no file {suggest(str(path), near)}")
    if path.is_dir() or path.suffix == ".pbz2":
        return read_nats_bench(path)
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
                f"{name}, line {line}: {len(row)} values; the header names {len(header)} columns"
            )
        genotype = checked_genotype(row[arch].strip(), f"{name}, line {line}")
        if genotype in lines:
            known = lines[genotype]
            raise InputError(f"{name}, line {line}: {genotype} is in line {known} already")
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
