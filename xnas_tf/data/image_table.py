"""Image files listed in a table."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xnas_tf.data.image_files import near, where
from xnas_tf.data.image_list import ImageFiles, ImageList, encode_labels, split_names
from xnas_tf.data.labels import clean_label
from xnas_tf.data.quality import Findings, join_names
from xnas_tf.errors import InputError, suggest

_COLUMNS = ("path", "label", "split", "group")
"""The columns that are read; the last two are optional."""
_DELIMITERS = ",;\t|"


class _Row(NamedTuple):
    """A row of the table, and its position."""

    where: str
    path: str
    label: str
    split: str
    group: str


def table(argument: str) -> ImageFiles:
    """Find the images listed in a CSV file with ``path`` and ``label`` columns.

    The ``split`` and ``group`` columns are optional. Paths are relative to the file's folder.
    Columns are separated by commas, semicolons, tabs or vertical bars; the text is UTF-8 or UTF-16.
    """
    path, name = Path(os.path.expanduser(argument)), f"data set csv:{argument}"
    header, rows = _read(path, name)
    rows = sorted(_with_files(rows, path.parent, name), key=lambda row: row.path)
    labels, remarks = _whole_numbers([row.label for row in rows])
    if unused := [column for column in header if column and column not in _COLUMNS]:
        remarks.append(f"unused columns of the table: {join_names(unused)}")
    numbers, class_names = encode_labels(labels)
    splits = split_names((row.split for row in rows), f"{name}, column split")
    files = [path.parent / row.path for row in rows]
    listing = ImageList(
        [row.path for row in rows],
        numbers,
        class_names,
        partial(iter, files),
        np.array([row.group for row in rows]) if "group" in header else None,
        splits if "split" in header else None,
        Findings(remarks=tuple(remarks)),
    )
    return ImageFiles([path, *files], lambda: listing, str(path.resolve()))


def _read(path: Path, name: str) -> tuple[list[str], list[_Row]]:
    """Return the names of the columns, and the rows that are not empty."""
    if not path.is_file():
        raise InputError(f"{name}: there is no such file{where(path)}")
    try:
        text = _decoded(path.read_bytes())
        first = io.StringIO(text.lstrip(), newline=None).readline()
        delimiter = max(_DELIMITERS, key=first.count)
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        cells = list(_numbered(reader))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{name}: not a readable CSV file: {error}") from error
    if cells and cells[0][1][0].lower() == "sep=":  # a line for Excel
        del cells[0]
    if not cells:
        raise InputError(f"{name}: it is empty; wanted: a first line path,label")
    header = _checked_header(cells[0][1], path, name)
    if len(cells) == 1:
        raise InputError(f"{name}: it has a header only")
    return header, [_row(header, values, where, name) for where, values in cells[1:]]


def _decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, or UTF-16 with a byte order mark."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError("it has zero bytes; allowed: UTF-8, or UTF-16 with a byte order mark")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8; allowed: UTF-8 or UTF-16") from error


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield nonempty rows with the row and line numbers that spreadsheets and editors show."""
    line = 1
    for number, values in enumerate(reader, 1):
        cells = [value.strip() for value in values]
        if any(cells):
            yield f"row {number}" + (f" (line {line})" if line != number else ""), cells
        line = reader.line_num + 1  # type: ignore[attr-defined]  # from csv.reader


def _checked_header(cells: Sequence[str], path: Path, name: str) -> list[str]:
    header = [cell.lower() for cell in cells]
    for column in ("path", "label"):
        if column not in header:
            if any((path.parent / cell).is_file() for cell in cells if cell):
                raise InputError(f"{name}: its first line is not a header; wanted: path,label")
            raise InputError(f"{name}: its first line has no column {suggest(column, cells)}")
    for column in _COLUMNS:
        if header.count(column) > 1:
            raise InputError(f"{name}: {header.count(column)} columns are named {column}")
    return [low if low in _COLUMNS else cell for low, cell in zip(header, cells, strict=True)]


def _row(header: Sequence[str], cells: Sequence[str], where: str, name: str) -> _Row:
    if any(cells[len(header) :]):
        raise InputError(
            f"{name}, {where}: {len(cells)} cells, but the first line has {len(header)}; put cells "
            "that contain the separator into double quotes"
        )
    values = dict(zip(header, cells, strict=False))
    for column in ("path", "label"):
        if not values.get(column):
            raise InputError(f"{name}, {where}: nothing in the column {column}")
    label = clean_label(values["label"])
    return _Row(where, values["path"], label, values.get("split", ""), values.get("group", ""))


def _with_files(rows: Sequence[_Row], root: Path, name: str) -> list[_Row]:
    """Return the rows with normalised paths, without duplicates."""
    found: dict[str, _Row] = {}
    for row in rows:
        path = row.path
        if "\\" in path and not (root / path).exists():
            path = path.replace("\\", "/")
        path = os.path.normpath(path)
        first = found.setdefault(os.path.abspath(root / path), row._replace(path=path))
        if first.where != row.where:
            numbers = " and ".join(each.where.removeprefix("row ") for each in (first, row))
            raise InputError(
                f"{name}: {path} is in rows {numbers}; an image has one label and is in one split"
            )
    if not any(map(os.path.exists, found)):
        first = next(iter(found.values()))
        hint = near(root / first.path) or _near_stem(root / first.path)
        raise InputError(
            f"{name}: none of its {len(rows):,} files exists; the first is {first.path!r}{hint}; "
            f"paths are relative to {root}"
        )
    return list(found.values())


def _near_stem(file: Path) -> str:
    """Suggest a file that has the same name plus a suffix."""
    found = sorted(file.parent.glob(f"{glob.escape(file.name)}.*"))
    return f" (did you mean {found[0].name!r}?)" if found else ""


def _whole_numbers(labels: list[str]) -> tuple[list[str], list[str]]:
    """Convert labels such as 1.0 to 1 if all are whole numbers; return the labels and notes."""
    whole = [label.partition(".")[0] for label in labels]
    if whole == labels or not all(re.fullmatch(r"-?\d+(\.0*)?", label) for label in labels):
        return labels, []
    return whole, ["labels such as 1.0 are taken as 1"]
