"""Translates between keras-tuner's terms and those of the configuration."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from xnas_tf.config import Config, validate_config
from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import OBJECT, OBJECTS, register_object
from xnas_tf.spaces import SPACES
from xnas_tf.spaces.variables import Choice, Variable
from xnas_tf.utils.source_code import json_text

_OF_TRAINING = ("accuracy", "loss")
_COMMON = ("val_accuracy", "val_loss")
_DIRECTIONS = {"min": "minimize", "max": "maximize"}
_ARGUMENTS = {
    "space": "hypermodel",
    "objectives": "objective",
    "dataset.name": "x",
    "search.candidates": "max_trials",
    "search.seed": "seed",
}
"""Keys of the configuration that arguments of ``xt.Tuner`` and ``Tuner.search`` always set."""
_OPTIONAL = {
    "dataset.validation": "validation_split",
    "training.epochs": "epochs",
    "training.batch_size": "batch_size",
    "training.class_weight": "class_weight",
    "training.callbacks": "callbacks",
}
"""Keys that arguments set only if they are given."""

_MOST_SHOWN = 40
"""Longest text of a value that the name of an object shows."""


def space_section(hypermodel: Any) -> Any:
    """Return the configuration's ``space`` section for the ``hypermodel`` argument."""
    if isinstance(hypermodel, Mapping):
        return hypermodel
    keras = sys.modules.get("keras")
    kind = hypermodel if isinstance(hypermodel, type) else type(hypermodel)
    if keras and issubclass(kind, keras.Model):
        raise InputError(
            f"`hypermodel` is a Keras model, {kind.__name__}, which leaves nothing to choose; "
            "allowed: a HyperModel, or a function build(hp) that returns a model"
        )
    if not (isinstance(hypermodel, str) or callable(hypermodel) or hasattr(hypermodel, "build")):
        raise InputError(
            f"`hypermodel` is of type {type(hypermodel).__name__}; allowed: a HyperModel, as an "
            "object or a class; a function build(hp); 'package.module:Name' of one; or the name "
            f"of a built-in space: {', '.join(SPACES.names())}"
        )
    if isinstance(hypermodel, str):
        return {"name": hypermodel} if hypermodel in SPACES.names() else {"hypermodel": hypermodel}
    module, name = (getattr(hypermodel, key, "") for key in ("__module__", "__qualname__"))
    is_main = module == "__main__"  # another program in other processes
    if not is_main and name and getattr(sys.modules.get(module), name, None) is hypermodel:
        return {"hypermodel": f"{module}:{name}"}
    known = (name for name, thing in OBJECTS.items() if thing is hypermodel)
    name = next(known, "").removeprefix(OBJECT) or _object_name(hypermodel)
    return {"hypermodel": register_object(hypermodel, name)}


def _object_name(hypermodel: Any) -> str:
    """Return a name with an object's class or function, and the values that it was made with.

    A search with other values therefore counts as another search. Text is hashed, because it may be
    secret and the name is stored in the run; other objects are left out.
    """
    owner: Any = hypermodel
    values: dict[Any, Any] = {}
    if isinstance(hypermodel, partial):
        owner, values = hypermodel.func, dict(enumerate(hypermodel.args)) | hypermodel.keywords
    method = ""
    if isinstance(owner, MethodType):  # of KerasTuner's base class, as for any `build`
        owner, method = owner.__self__, f".{owner.__name__}"
    kind = owner if hasattr(owner, "__qualname__") else type(owner)
    if isinstance(owner, FunctionType):
        values |= inspect.getclosurevars(owner).nonlocals
    elif not isinstance(owner, type):
        values |= getattr(owner, "__dict__", {})
    shown = []
    for name, value in values.items():
        text = _array_text(value) or json_text([value])[1:-1]
        if text and name not in ("name", "tunable"):  # of every HyperModel
            is_plain = len(text) <= _MOST_SHOWN and '"' not in text
            shown.append(f"{name}={text if is_plain else _digest(text.encode())}")
    arguments = f"({', '.join(shown)}){method}" if shown or method else ""
    return f"{kind.__module__}.{kind.__qualname__}{arguments}"


def _array_text(value: Any) -> str:
    """Return a text by which arrays of numbers can be compared; empty for other values."""
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        return ""
    return f"{value.dtype}{list(value.shape)} {_digest(np.ascontiguousarray(value).tobytes())}"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=4).hexdigest()


def checked_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the additional sections of the configuration that are not None.

    Raises:
        InputError: If ``config`` is not a mapping, or has a key that an argument sets.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"`config` is of type {type(config).__name__}; allowed: a mapping")
    given = {*config}
    for name in ("dataset", "training", "search"):
        section = config.get(name) or {}
        if not isinstance(section, Mapping):
            raise InputError(f"`config`: {name} is {section!r}; allowed: a mapping of its keys")
        given |= {f"{name}.{key}" for key in section}
    for key, argument in _ARGUMENTS.items():
        if key in given:
            raise InputError(f"`config`: {key} is set by the argument `{argument}`: leave it out")
    return {name: section for name, section in config.items() if section is not None}


def validated(sections: Mapping[str, Any]) -> Config:
    """Return the configuration of these sections; errors name the arguments that set the values."""
    try:
        return validate_config(sections, "xt.Tuner")
    except InputError as error:
        text = str(error)
        for key, argument in (_ARGUMENTS | _OPTIONAL).items():
            text = re.sub(
                rf"(?m)^xt.Tuner: {re.escape(key)}\b(?=[.:])", f"xt.Tuner: `{argument}`", text
            )
        raise InputError(text) from error


def objectives_of(objective: Any) -> list[Any]:
    """Return the configuration's ``objectives`` section for the ``objective`` argument."""
    is_list = isinstance(objective, Sequence) and not isinstance(objective, str)
    return [*map(translated, objective if is_list else [objective])]


def translated(objective: Any) -> Any:
    """Translate keras-tuner's objectives for the configuration; return any others unchanged."""
    if isinstance(objective, str):
        if objective not in _OF_TRAINING and not objective.startswith("val_"):
            return objective
        name, direction = objective, _direction_of(objective)
    elif getattr(objective, "direction", None) in _DIRECTIONS:
        name, direction = objective.name, objective.direction
    else:
        return objective
    if name in _OF_TRAINING:
        raise InputError(
            f"`objective`: {name!r} is measured on training images; did you mean 'val_{name}'?"
        )
    if name == "val_accuracy" and direction == "max":
        return "error"  # 1 - accuracy
    return {"name": f"metric:{name.removeprefix('val_')}", "direction": _DIRECTIONS[direction]}


def _direction_of(name: str) -> str:
    """Return ``min`` or ``max`` for a Keras metric, as keras-tuner does."""
    import keras_tuner  # noqa: PLC0415 - heavy

    try:
        oracle = keras_tuner.oracles.RandomSearchOracle(objective=name, max_trials=1)
    except ValueError as error:
        raise InputError(
            f"`objective`: {suggest(name, _COMMON)}, the name of an objective, or "
            f'keras_tuner.Objective({name!r}, "max") for any other metric'
        ) from error
    return oracle.objective.direction


def described(variable: Variable) -> str:
    """Describe a decision variable in one line: its name, its values, and when it is active."""
    if isinstance(variable, Choice):
        values = ", ".join(map(str, variable.values[:12])) + ", …" * (variable.size > 12)
    else:
        values = f"{variable.decode(0.0):g} to {variable.decode(1.0):g}"
    needs = [f"{c.parent} is {' or '.join(map(str, c.values))}" for c in variable.conditions]
    return f"{variable.name}: {values}" + (f"  (where {' and '.join(needs)})" if needs else "")
