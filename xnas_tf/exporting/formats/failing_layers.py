"""The layers that a converter's error is about."""

from __future__ import annotations

import re

import keras

from xnas_tf.keras_tools.inspection import all_layers

_PLACE = re.compile(r'"(?:\w+):", "([^"@]+)@')
"""The name of an operation in errors of TensorFlow Lite's converter: the scopes of its layers."""
_REASON = re.compile(r"'tf\.\w+' op [^\n]+")


def failing_layers(message: str, model: keras.Model) -> str:
    """Return which layers of a model a converter cannot convert, and why.

    Args:
        message: That of the converter's error, in which operations have their names.
        model: The model.

    Returns:
        One line; empty if the message names no layer.
    """
    found = [_innermost(path.split("/"), model) for path in _PLACE.findall(message)]
    layers = dict.fromkeys(text for text in found if text)
    reasons = dict.fromkeys(_REASON.findall(message))
    return f"{', '.join(layers)}: {next(iter(reasons), 'not supported')}" if layers else ""


def _innermost(scopes: list[str], model: keras.Model) -> str:
    """Return the last of some scopes that is a layer. TensorFlow may append a number to names."""
    layers = {layer.name: layer for layer in all_layers(model)}
    for scope in reversed(scopes):
        layer = layers.get(scope) or layers.get(re.sub(r"_\d+$", "", scope))
        if layer is not None:
            return f"{type(layer).__name__} {layer.name!r}"
    return ""
