"""Finds the data set in a folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from xnas_tf.data import form_of
from xnas_tf.data.class_folder import is_hidden
from xnas_tf.data.image_files import class_folders
from xnas_tf.data.image_list import split_name
from xnas_tf.errors import InputError

_WANTED = (
    "no folder with one folder of images per class, no .npz file, and no .csv file with the "
    "columns path and label"
)


def find_dataset(root: Path) -> str:
    """Return the name of the only data set in a folder, such as ``folder:pets``.

    Raises:
        InputError: If the folder contains no data set, or more than one.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root} in which to look for a data set")
    try:
        names = _names(root)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not names:
        raise InputError(f"`dataset`: not given, and {root} has {_WANTED}")
    if len(names) > 1:
        choices = ", ".join(map(shlex.quote, names))
        raise InputError(f"`dataset`: not given, and {root} has several; allowed: {choices}")
    return names[0]


def _names(root: Path) -> list[str]:
    """Return the names of all data sets in a folder."""
    inside = [path for path in sorted(root.iterdir()) if not is_hidden(path.name)]
    folders = [path for path in inside if path.is_dir()]
    found = [path for path in inside if path.suffix == ".npz" or _is_table(path)]
    found += [path for path in (root, *folders) if form_of(path) not in ("", "folder")]
    classes = {path: class_folders(path) for path in (root, *folders)}
    # Folders such as train and test are part of the surrounding data set.
    tops = [path for path in classes if not (classes[root] and split_name(path.name))]
    found += [path for path in tops if len(classes[path]) > 1]
    # One class alone is not a data set: the error on loading it describes what is missing.
    found = sorted(set(found)) or [path for path in tops if classes[path]]
    return [f"{form_of(path)}:{path}" for path in found]


def _is_table(path: Path) -> bool:
    """Return whether a file is a table of images, rather than another kind of table."""
    if path.suffix != ".csv" or not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(1000).replace(b"\0", b"").lower()
    return b"path" in first and b"label" in first
