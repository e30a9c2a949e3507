"""Finds the model that the user names, and the folder for results, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xnas_tf.candidate import RECOMMENDED
from xnas_tf.data import check_dataset_name
from xnas_tf.errors import InputError
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import DATABASE
from xnas_tf.utils.output_folder import check_new

EXPLANATIONS = "explanations"
DISENTANGLEMENTS = "disentanglements"
INTERPRETATIONS = "interpretations"
"""Kinds of results, and their default folders."""
NEEDED = {
    EXPLANATIONS: "--images FILE… or --dataset NAME to explain",
    DISENTANGLEMENTS: "--dataset NAME from which to learn the paths",
    INTERPRETATIONS: "--dataset NAME from which to learn",
}
"""What to ask for if a kind of result needs a data set, and none is known."""


@dataclass(frozen=True)
class ModelSource:
    """A model to explain, the data set to use, and the folder to write to."""

    path: Path | None  # a run, an exported candidate or a Keras file; None for a HyperModel
    candidate: int | str | None  # of a run: an id, ``best`` or, by default, ``recommended``
    dataset: str | None  # by default, the run's
    out: Path | None  # by default, a folder inside the run or in the current directory
    safe: bool  # whether to reject models that contain Python code
    hypermodel: str | None = None  # ``package.module:Name``, whose default network is built

    def folder(self, kind: str, needs_data: bool = False) -> Path:
        """Return the folder to write to; by default, it depends on the kind of result.

        This check needs no slow import, so it can come first.

        Raises:
            InputError: If there is no such model, a data set is needed but missing, or the folder
                exists.
        """
        if (self.path is None) == (self.hypermodel is None):
            given = "both are given" if self.hypermodel else "neither is given"
            raise InputError(f"allowed: a model or run, or --hypermodel, but {given}")
        default = self._default_folder(kind)
        if self.dataset is not None:
            check_dataset_name(self.dataset)
        elif needs_data and not (self.path and is_run(self.path)):
            raise InputError(f"{self.path or self.hypermodel}: give {NEEDED[kind]}")
        return check_new(self.out or default)

    def _default_folder(self, kind: str) -> Path:
        if self.path is None:
            return Path(kind) / str(self.hypermodel).rpartition(":")[2]
        if is_run(self.path):
            which = RECOMMENDED if self.candidate is None else self.candidate
            return self.path / kind / f"candidate-{Run(self.path).choose(which).id:05d}"
        model_file(self.path, self.candidate)
        return Path(kind) / self.path.stem


def is_run(path: Path) -> bool:
    """Return whether a path is a run directory."""
    return (path / DATABASE).is_file()


def model_file(path: Path, candidate: int | str | None = None) -> Path:
    """Return the Keras file at a path that is not a run: an exported candidate or the file itself.

    Raises:
        InputError: If there is no such file, or a candidate is requested, which only runs have.
    """
    if candidate is not None:
        raise InputError(f"`candidate` {candidate}: {path} is not a run")
    file = path / "model.keras" if (path / "model.keras").is_file() else path
    if not file.is_file():
        what = "contains neither a run nor a model.keras" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; allowed: a run, an exported candidate or a .keras file")
    return file
