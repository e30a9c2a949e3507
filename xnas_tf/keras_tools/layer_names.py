"""Renames layers whose names TensorFlow does not accept in a graph."""

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
    """Rename a model, and its layers, if TensorFlow rejects their names in a graph.

    A model with a layer called ``Conv 1: 3×3`` can be called, but neither exported nor traced.
    Training traces a model if there are more than a few steps. The new names are returned, keyed by
    the old ones.
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
    """Return an accepted, unused name that is similar to the given one."""
    stem = _REFUSED.sub("_", name).strip("_->") or "layer"
    number = 1
    while (found := f"{stem}_{number}" if number > 1 else stem) in taken:
        number += 1
    return found
