"""Writes a configuration and a search space for a data set, as the starting point of a search."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xnas_tf.config import Config
from xnas_tf.data import load_dataset, path_in
from xnas_tf.errors import InputError
from xnas_tf.project.files import config_text, model_text, pretraining_note
from xnas_tf.project.finding import find_dataset
from xnas_tf.reporting.dataset import DataReport
from xnas_tf.utils.argument_types import PATH, TEXT, check_types
from xnas_tf.utils.markup import short_repr

__all__ = ["Project", "init"]


@dataclass(frozen=True, repr=False)
class Project:
    """A folder in which ``xnas-tf search`` can be run.

    Attributes:
        folder: The folder.
        report: Report on the data set.
    """

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
        InputError: If one of the files already exists, if no data set or more than one is found, or
            if the data set is not suitable for classification. Nothing is written in that case.
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
