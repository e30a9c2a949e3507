"""Image files in folders or in a table."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np

from xnas_tf.data.decoding import SUFFIXES
from xnas_tf.data.image_list import ImageFiles, ImageList, encode_labels, split_name, split_names
from xnas_tf.errors import InputError, suggest


def folder(argument: str) -> ImageFiles:
    """Find the images in a folder with one folder per class.

    There may also be such folders inside ``train``, ``validation`` and ``test``.

    Raises:
        InputError: If the folder does not exist, or has no such images.
    """
    root = Path(os.path.expanduser(argument or "."))
    name = f"data set folder:{argument}"
    if not root.is_dir():
        raise InputError(f"{name}: there is no such folder{near(root)}")
    tops = _folders(root)
    parts = [split_name(top.name) for top in tops]
    if parts and all(parts):
        if "train" not in parts:
            given = ", ".join(top.name for top in tops)
            raise InputError(f"{name}: it has the folders {given}, but no train")
        classes = [each for top in tops for each in _folders(top)]
    else:
        classes, parts = tops, []
    return _of_folders(root, classes, bool(parts), name)


def _of_folders(root: Path, classes: list[Path], has_parts: bool, name: str) -> ImageFiles:
    found = [(each, file) for each in classes for file in _files_below(each)]
    images = [(each, file) for each, file in found if _is_image(file)]
    if not images:
        loose = sum(map(_is_image, root.iterdir()))
        raise InputError(
            f"{name}: no images in folders inside it; wanted: one folder per class, with files "
            f"that end in {', '.join(SUFFIXES)}"
            + (f"; {loose} images lie in no folder" if loose else "")
        )
    files = [file for _, file in images]
    names = {_shown(each.name) for each in classes}
    labels, class_names = encode_labels([_shown(each.name) for each, _ in images])
    listing = ImageList(
        [_shown(file.relative_to(root)) for file in files],
        labels,
        class_names,
        partial(iter, files),
        parts=split_names([each.parent.name for each, _ in images], name) if has_parts else None,
        empty=tuple(sorted(names.difference(class_names))),
        ignored=len(found) - len(images),
    )
    return ImageFiles(files, lambda: listing, f"{root.resolve()} {sorted(names)}")


def _folders(root: Path) -> list[Path]:
    """Return the visible folders in a folder, sorted by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files_below(root: Path) -> list[Path]:
    files = (
        Path(parent, name)
        for parent, _, names in os.walk(root)
        for name in names
        if not name.startswith(".")
    )
    return sorted(files, key=lambda file: file.relative_to(root).as_posix())


def _shown(path: str | Path) -> str:
    """Return a path as printable text, also if it is not valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def near(path: Path) -> str:
    """Suggest a file or folder with a similar name in the same folder."""
    if not path.parent.is_dir():
        return ""
    names = [each.name for each in path.parent.iterdir() if each.is_dir() == (not path.suffix)]
    found = get_close_matches(path.name, sorted(names), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def table(argument: str) -> ImageFiles:
    """Find the images of a CSV file with the columns ``path`` and ``label``.

    The columns ``split`` and ``group`` are optional. Paths are relative to the file's folder.

    Raises:
        InputError: If the file cannot be read, or has missing or invalid values.
    """
    path, name = Path(os.path.expanduser(argument)), f"data set csv:{argument}"
    rows = _read_rows(path, name)
    _check_rows(rows, name)
    files = [path.parent / row["path"] for row in rows]
    rows.sort(key=lambda row: row["path"])
    labels, class_names = encode_labels([row["label"] for row in rows])
    groups = splits = None
    if "group" in rows[0]:
        groups = np.array([row["group"] or "" for row in rows])
    if "split" in rows[0]:
        splits = split_names((row["split"] or "" for row in rows), f"{name}, column split")
    listing = ImageList(
        [row["path"] for row in rows],
        labels,
        class_names,
        partial(iter, [path.parent / row["path"] for row in rows]),
        groups,
        splits,
    )
    return ImageFiles([path, *files], lambda: listing, str(path.resolve()))


def _read_rows(path: Path, name: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{name}: there is no such file{near(path)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text, skipinitialspace=True)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name}: not a readable CSV file: {error}") from error
    header = reader.fieldnames or []
    for column in ("path", "label"):
        if column not in header:
            raise InputError(f"{name}: its first line has no column {suggest(column, header)}")
    if not rows:
        raise InputError(f"{name}: it has a header only")
    return rows


def _check_rows(rows: Sequence[dict[str, str]], name: str) -> None:
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        for column in ("path", "label"):
            if not row[column]:
                raise InputError(f"{name}, row {number}: nothing in the column {column}")
        if row["path"] in seen:
            raise InputError(
                f"{name}: {row['path']} is in rows {seen[row['path']]} and {number}; an image "
                "has one label, and is in one split"
            )
        seen[row["path"]] = number
