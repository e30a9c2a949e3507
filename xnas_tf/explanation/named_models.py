"""Models passed from Python as a Keras model, a run, a candidate or a path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import load_subject
from xnas_tf.storage.run import Run, run_of
from xnas_tf.storage.run_directory import DATABASE

AnyModel: TypeAlias = keras.Model | Run | Candidate | str | Path
"""A Keras model; a run, which stands for its recommended candidate; a candidate, such as
``run[4]``; or the path of a run, an exported candidate or a ``.keras`` file."""


@dataclass(frozen=True)
class NamedModel:
    """A model, and the arguments of ``load_dataset`` for its run's data, or None if unknown."""

    model: keras.Model
    dataset: dict[str, Any] | None = None

    def load_dataset(self, given: str | Dataset | None) -> Dataset:
        """Return the given data set, or if none is given, the data set of the model's run.

        Raises:
            InputError: If neither is available, or the data set cannot be loaded.
        """
        if isinstance(given, Dataset):
            return given
        if given is None and self.dataset is None:
            raise InputError("`dataset`: none is given, and the model does not come from a run")
        if not isinstance(given, str | None):
            raise InputError(
                f"`dataset` is of type {type(given).__name__}; allowed: a name, such as 'digits', "
                "or a Dataset"
            )
        return load_dataset(given) if given is not None else load_dataset(**(self.dataset or {}))


def named_model(model: AnyModel, safe: bool = True) -> NamedModel:
    """Return the given model, with the data of its run.

    Args:
        model: The model.
        safe: Whether to reject a model that contains Python code.

    Raises:
        InputError: If the model does not exist or cannot be loaded.
    """
    if isinstance(model, keras.Model):
        return NamedModel(model)
    model = run_of(model)
    if isinstance(model, Run):
        return NamedModel(model.choose().load_model(safe), model.config.dataset.model_dump())
    if isinstance(model, Candidate):
        return NamedModel(model.load_model(safe), _dataset_of(model))
    if isinstance(model, str | os.PathLike):
        loaded = load_subject(Path(model), safe=safe)
        return NamedModel(loaded.model, loaded.dataset)
    raise InputError(
        f"`model` is of type {type(model).__name__}; allowed: a Keras model, a Run, a Candidate, "
        "or the path of a run, an exported candidate or a .keras file"
    )


def _dataset_of(candidate: Candidate) -> dict[str, Any] | None:
    """Return the data set of the run that contains a candidate's model."""
    path = candidate.model_path and candidate.model_path.parent.parent
    if path is None or not (path / DATABASE).is_file():
        return None
    return Run(path).config.dataset.model_dump()
