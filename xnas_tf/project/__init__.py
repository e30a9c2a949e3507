"""Finds a data set, and writes a configuration and a search space for it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xnas_tf.config import Config
from xnas_tf.data import form_of, load_dataset, path_in
from xnas_tf.data.class_folder import is_hidden
from xnas_tf.data.image_files import class_folders
from xnas_tf.data.image_list import split_name
from xnas_tf.errors import InputError
from xnas_tf.project.files import config_text, model_text, pretraining_note
from xnas_tf.reporting.dataset import DataReport
from xnas_tf.utils.argument_types import PATH, TEXT, check_types
from xnas_tf.utils.markup import short_repr

__all__ = ["Project", "init"]
_WANTED = (
    "no folder with one folder of images per class, no .npz file, and no .csv file with the "
    "columns path and label"
)


@dataclass(frozen=True, repr=False)
class Project:
    """A folder in which ``xnas-tf search`` can be run, with a report on its data set."""

    folder: Path
    report: DataReport

    @property
    def config(self) -> Path:
        """The configuration file, ``xnas.yaml``."""
        return self.folder / "xnas.yaml"

    @property
    def model(self) -> Path:
        """The file with the search space, ``mine.py``."""
        return self.folder / "mine.py"

    def __repr__(self) -> str:
        return short_repr(self, folder=self.folder, dataset=self.report.dataset.name)

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


@check_types(folder=PATH, dataset=TEXT)
def init(
    folder: str | Path = ".",
    dataset: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Project:
    """Write ``xnas.yaml`` and ``mine.py`` for a data set into a folder.

    Args:
        folder: The folder to write to, which is created if missing. You can run ``xt.search()`` in
            this folder afterwards.
        dataset: Name of the data set, such as ``folder:pets``, with a path relative to the current
            folder. If None, the only data set in ``folder`` is used.
        log: Called with a message before work that takes a while, and with a hint if ``mine.py``
            could start from a pretrained network.

    Raises:
        InputError: If one of the files already exists, there is not exactly one data set, or it is
            not suitable for classification. Nothing is written in that case.
    """
    folder = Path(folder)
    _check_new(folder)
    name = find_dataset(folder) if dataset is None else dataset
    config = Config(dataset=name)
    # Loaded as in a search, which would not start if too many files were corrupt.
    data = load_dataset(**config.dataset.model_dump(), log=log)
    project = Project(folder, DataReport(data, config))
    texts = {
        project.config: config_text(project.report, _as_seen_from(folder, name)),
        project.model: model_text(project.report),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{folder} cannot be written to: {error}") from error
    if note := pretraining_note(project.report):
        log(note)
    return project


def _check_new(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; allowed: a folder")
    names = [name for name in ("xnas.yaml", "mine.py") if os.path.lexists(folder / name)]
    if names:
        raise InputError(
            f"{folder} already has {' and '.join(names)}; nothing was written. Move them away, "
            "or name another folder"
        )


def _as_seen_from(folder: Path, dataset: str) -> str:
    """Return a data set's name, with its path made relative to another folder."""
    path = path_in(dataset)
    if path is None or path.startswith("~") or os.path.isabs(path):
        return dataset
    return f"{dataset.partition(':')[0]}:{os.path.relpath(path, os.path.realpath(folder))}"


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
