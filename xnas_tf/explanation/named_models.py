"""Models passed to Python functions as a Keras model, a run, a candidate or a path."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.data import Dataset
from xnas_tf.data.class_names import check_order
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import load_subject
from xnas_tf.interpretation.model_data import data_for
from xnas_tf.storage.model_source import is_run
from xnas_tf.storage.run import Run, run_of

AnyModel: TypeAlias = keras.Model | Run | Candidate | str | Path
"""A Keras model; a run, which stands for its recommended candidate; a candidate, such as
``run[4]``; or the path of a run, an exported candidate or a ``.keras`` file."""


@dataclass(frozen=True)
class NamedModel:
    """A model and where it comes from.

    Attributes:
        model: The model.
        run: The model's run; None if it has no run or was given as a file.
        class_names: The classes of the run or of an exported model's card; empty if unknown.
    """

    model: keras.Model
    run: Run | None = None
    class_names: Sequence[str] = ()

    def load_dataset(
        self, given: str | Dataset | None, log: Callable[[str], None] = lambda _: None
    ) -> Dataset:
        """Return the given data set or, if there is none, the data set of the model's run.

        A named data set is converted to the model's input; see ``data_for``.

        Raises:
            InputError: If no data set is available, it cannot be loaded, it does not fit the
                model, or the run's data set has changed since the search.
        """
        if given is None:
            if self.run is None:
                raise InputError("`dataset`: none is given, and the model does not come from a run")
            return self.run.load_dataset(log)
        if not isinstance(given, str | Dataset):
            raise InputError(
                f"`dataset` is of type {type(given).__name__}; allowed: a name, such as 'digits', "
                "or a Dataset"
            )
        data = data_for(self.model, given, log)
        check_order(data.class_names, self.class_names, data.name)
        return data


def named_model(model: AnyModel, safe: bool = True) -> NamedModel:
    """Return the given model together with its run's data.

    Args:
        model: The model.
        safe: Whether to reject a model that contains Python code.

    Raises:
        InputError: If the model does not exist or cannot be loaded.
    """
    if isinstance(model, keras.Model):
        return NamedModel(model)
    model = run_of(model)
    if isinstance(model, str | os.PathLike) and is_run(Path(model)):
        model = Run(Path(model))
    if isinstance(model, Run):
        return _of_run(model.choose().load_model(safe), model)
    if isinstance(model, Candidate):
        return _of_run(model.load_model(safe), _run_of(model))
    if isinstance(model, str | os.PathLike):
        loaded = load_subject(Path(model), safe=safe)
        return NamedModel(loaded.model, loaded.run, loaded.class_names)
    raise InputError(
        f"`model` is of type {type(model).__name__}; allowed: a Keras model, a Run, a Candidate, "
        "or the path of a run, an exported candidate or a .keras file"
    )


def _of_run(model: keras.Model, run: Run | None) -> NamedModel:
    return NamedModel(model, run, () if run is None else run.class_names)


def _run_of(candidate: Candidate) -> Run | None:
    """Return the run to which a candidate's model belongs."""
    path = candidate.model_path and candidate.model_path.parent.parent
    return Run(path) if path is not None and is_run(path) else None
