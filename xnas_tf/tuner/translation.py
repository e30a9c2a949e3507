"""Translation between the terms of keras-tuner and those of the configuration."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import register_object
from xnas_tf.spaces import SPACES
from xnas_tf.spaces.variables import Choice, Variable

_OF_TRAINING = ("accuracy", "loss")
_DIRECTIONS = {"min": "minimize", "max": "maximize"}
_ARGUMENTS = {
    "space": "hypermodel",
    "objectives": "objectives",
    "dataset.name": "x",
    "search.candidates": "max_trials",
    "search.seed": "seed",
}
"""Keys of the configuration that arguments of ``xt.Tuner`` and its ``search`` always set."""


def space_section(hypermodel: Any) -> Any:
    """Return the section ``space`` of the configuration for the argument ``hypermodel``."""
    if isinstance(hypermodel, Mapping):
        return hypermodel
    if isinstance(hypermodel, str):
        return {"name": hypermodel} if hypermodel in SPACES.names() else {"hypermodel": hypermodel}
    module, name = (getattr(hypermodel, key, "") for key in ("__module__", "__qualname__"))
    is_main = module == "__main__"  # which is another program in other processes
    if not is_main and name and getattr(sys.modules.get(module), name, None) is hypermodel:
        return {"hypermodel": f"{module}:{name}"}
    kind = hypermodel if hasattr(hypermodel, "__qualname__") else type(hypermodel)
    return {"hypermodel": register_object(hypermodel, f"{kind.__module__}.{kind.__qualname__}")}


def checked_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check further sections of the configuration, and return them unchanged.

    Raises:
        InputError: If keys must be added to a section that is not a mapping, or a section has a
            key that an argument sets.
    """
    given = {*config}
    for name in ("dataset", "training", "search"):
        section = config.get(name) or {}
        if not isinstance(section, Mapping):
            raise InputError(f"config: {name} is {section!r}; allowed: a mapping of its keys")
        given |= {f"{name}.{key}" for key in section}
    for key, argument in _ARGUMENTS.items():
        if key in given:
            raise InputError(f"config: {key} is set by the argument {argument}: leave it out")
    return dict(config)


def translated(objective: Any) -> Any:
    """Translate an objective of keras-tuner for the configuration; return any other unchanged.

    Raises:
        InputError: If it is not measured on validation images, or unknown.
    """
    if isinstance(objective, str):
        known = {"val_accuracy": "max", "val_loss": "min"}
        if objective in _OF_TRAINING or (objective[:4] == "val_" and objective not in known):
            raise InputError(
                f"objectives: {suggest(objective, known)}, the name of an objective, or "
                f'keras_tuner.Objective("val_NAME", "max") of any other metric'
            )
        if objective not in known:
            return objective
        name, direction = objective, known[objective]
    elif getattr(objective, "direction", None) in _DIRECTIONS:
        name, direction = objective.name, objective.direction
    else:
        return objective
    if name in _OF_TRAINING:
        raise InputError(
            f"objectives: {name!r} is measured on training images; did you mean 'val_{name}'?"
        )
    if name == "val_accuracy" and direction == "max":
        return "error"  # 1 - accuracy
    return {"name": f"metric:{name.removeprefix('val_')}", "direction": _DIRECTIONS[direction]}


def described(variable: Variable) -> str:
    """Describe a decision variable in one line: its name, its values, and when it is active."""
    if isinstance(variable, Choice):
        values = ", ".join(map(str, variable.values[:12])) + ", …" * (variable.size > 12)
    else:
        values = f"{variable.decode(0.0):g} to {variable.decode(1.0):g}"
    needs = [f"{c.parent} is {' or '.join(map(str, c.values))}" for c in variable.conditions]
    return f"{variable.name}: {values}" + (f"  (where {' and '.join(needs)})" if needs else "")
