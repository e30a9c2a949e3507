"""Renames layers to names that TensorFlow accepts in a graph."""

from __future__ import annotations

import re
from itertools import repeat

import keras

from xnas_tf.keras_tools.compat import rename_variable
from xnas_tf.keras_tools.inspection import all_layers

_ACCEPTED = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*|")
"""TensorFlow's pattern for name scopes; every layer opens one when it is traced."""
_REFUSED = re.compile(r"[^A-Za-z0-9_.>-]+")


def use_accepted_names(model: keras.Model) -> dict[str, str]:
    """Rename a model, and layers in it, whose names TensorFlow rejects in a graph.

    A model with a layer ``Conv 1: 3×3`` can be called, but it can neither be exported nor traced,
    and it is traced if it is trained for more than a few steps.

    Returns:
        The new names, keyed by the old ones.
    """
    layers = [model, *all_layers(model)]
    taken = {layer.name for layer in layers}
    renamed = {}
    for layer in layers:
        if not _ACCEPTED.fullmatch(layer.name):
            renamed[layer.name] = layer.name = _accepted(layer.name, taken)
            taken.add(layer.name)
    for variable in model.variables:  # an optimizer names its own variables after these
        if not _ACCEPTED.fullmatch(variable.path):
            parts = map(_REFUSED.sub, repeat("_"), variable.path.split("/"))
            rename_variable(variable, "/".join(parts).lstrip("_->"))
    return renamed


def _accepted(name: str, taken: set[str]) -> str:
    """Return an accepted and unused name similar to another one."""
    stem = _REFUSED.sub("_", name).strip("_->") or "layer"
    number = 1
    while (found := f"{stem}_{number}" if number > 1 else stem) in taken:
        number += 1
    return found
