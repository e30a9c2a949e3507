"""Creates the Keras callbacks for the training of each candidate."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from xnas_tf.errors import InputError
from xnas_tf.registry import describe, find_object, register_object
from xnas_tf.utils.source_code import value_text

WRITERS = {
    keras.callbacks.ModelCheckpoint: "filepath",
    keras.callbacks.CSVLogger: "filename",
    keras.callbacks.TensorBoard: "log_dir",
}
"""Keras callbacks that write files, and the attribute that contains each one's path."""


def new_callbacks(names: Sequence[str], folder: str, rank: int) -> list[keras.callbacks.Callback]:
    """Return new callbacks for training one model, from the ``training.callbacks`` option.

    Callbacks in ``WRITERS`` write on rank 0 only, into a folder for this model, such as
    ``candidate-00007``. For example, ``model.keras`` becomes ``FOLDER/model.keras``, and the
    ``logs`` directory becomes ``logs/FOLDER``. On other ranks, callbacks that do nothing take their
    place, because all ranks must agree on whether there are any callbacks.

    Raises:
        InputError: If a callback cannot be imported, created or copied, or is not a Keras callback.
    """
    made = []
    for callback in map(_new, names):
        attribute = next((a for kind, a in WRITERS.items() if isinstance(callback, kind)), None)
        made.append(keras.callbacks.Callback() if attribute and rank else callback)
        if attribute and not rank:
            path = Path(getattr(callback, attribute))
            is_file = attribute != "log_dir"
            path = path.parent / folder / path.name if is_file else path / folder
            path.parent.mkdir(parents=True, exist_ok=True)
            setattr(callback, attribute, str(path))
    return made


def uncalled_hooks(names: Sequence[str]) -> list[str]:
    """Return a user's methods that would be called only if Keras validated the models."""
    made = new_callbacks(names, "candidate", rank=1)  # rank 1 writes nothing
    hooks = [f"on_test_{when}" for when in ("begin", "end", "batch_begin", "batch_end")]
    return [
        f"{type(callback).__name__}.{hook}"
        for callback in made
        for hook in hooks
        if not str(getattr(getattr(callback, hook), "__module__", "")).startswith("keras.")
    ]


def _new(name: str) -> keras.callbacks.Callback:
    found = find_object(name, "training.callbacks:")
    try:
        is_object = isinstance(found, keras.callbacks.Callback)
        callback = copy.deepcopy(found) if is_object else found()
    except Exception as error:  # a user's code may raise anything
        raise InputError(
            f"training.callbacks: {name} cannot be created for each candidate: {describe(error)}"
        ) from error
    if not isinstance(callback, keras.callbacks.Callback):
        raise InputError(
            f"training.callbacks: {name} is a {type(callback).__name__}; allowed: a "
            "keras.callbacks.Callback, or a class or function that returns one"
        )
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise InputError(
            "training.callbacks: leave out BackupAndRestore, which has no use here: a search "
            "resumes by itself, and trains interrupted candidates again"
        )
    return callback


def register_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Register callbacks in this process, and return their names for ``training.callbacks``.

    A name contains the callback's class, its arguments that are strings, numbers or None, and
    hashes of other arguments (``value_text``). A search with different arguments therefore counts
    as a different search. Addresses, and strings given to a user's own callbacks, may contain
    passwords. These values are hashed, because callback names are stored in the run. Equal names
    are numbered.
    """
    names = [*map(_name, callbacks)]
    counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [
        register_object(callback, f"{name} {count}" if count > 1 else name)
        for callback, name, count in zip(callbacks, names, counts, strict=True)
    ]


def _name(callback: keras.callbacks.Callback) -> str:
    kind = type(callback)
    names = inspect.signature(kind).parameters
    values = {n: getattr(callback, n, getattr(callback, f"_{n}", ...)) for n in names}
    plain = {n: v for n, v in values.items() if v is None or isinstance(v, str | int | float)}
    others = {n: value_text(v) for n, v in values.items() if n not in plain}
    hashes = {n: _hash(text) for n, text in others.items() if text}
    is_of_keras = kind.__module__.startswith("keras.")

    def hidden(value: Any) -> Any:
        """Return a hash of a string that may be secret; other values are not."""
        is_secret = isinstance(value, str) and (not is_of_keras or "://" in value)
        return _hash(value) if is_secret else value

    shown = {name: hidden(value) for name, value in plain.items()}
    arguments = ", ".join(f"{name}={value!r}" for name, value in {**shown, **hashes}.items())
    module = "keras.callbacks" if is_of_keras else kind.__module__
    return f"{module}.{kind.__qualname__}({arguments})"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
