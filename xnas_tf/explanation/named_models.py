"""Models passed to Python functions as a Keras model, a run, a candidate or a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject, load_subject, subject_of
from xnas_tf.storage.model_source import is_run
from xnas_tf.storage.run import Run, run_of

AnyModel: TypeAlias = keras.Model | Run | Candidate | str | Path
"""A Keras model; a run, which stands for its recommended candidate; a candidate, such as
``run[4]``; or the path of a run, an exported candidate or a ``.keras`` file."""


def named_model(model: AnyModel, safe: bool = True) -> ModelSubject:
    """Return the given model together with its run's data.

    Args:
        model: The model.
        safe: Whether to reject a model that contains Python code.

    Raises:
        InputError: If the model does not exist or cannot be loaded.
    """
    if isinstance(model, keras.Model):
        return ModelSubject(model)
    model = run_of(model)
    if isinstance(model, Run):
        return subject_of(model.choose(), model, safe)
    if isinstance(model, Candidate):
        path = model.model_path and model.model_path.parent.parent
        if path is None or not is_run(path):
            return ModelSubject(model.load_model(safe))
        return subject_of(model, Run(path), safe)
    if isinstance(model, str | os.PathLike):
        return load_subject(Path(model), safe=safe)
    raise InputError(
        f"`model` is of type {type(model).__name__}; allowed: a Keras model, a Run, a Candidate, "
        "or the path of a run, an exported candidate or a .keras file"
    )
