"""Distinguishes weights drawn by initializers from weights assigned to a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras

from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.utils.randomness import uninterrupted


@dataclass
class BuildRecord:
    """The variables created and assigned while a model was built.

    Attributes:
        created: The variables that were created.
        assigned: The variables that were assigned a value, for example by ``load_weights``.
    """

    created: list[keras.Variable] = field(default_factory=list)
    assigned: list[keras.Variable] = field(default_factory=list)

    def gives_weights(self, model: keras.Model) -> bool:
        """Return whether any of the model's weights differs from its initializer's value."""
        fresh = _ids(self.created) - _ids(self.assigned)
        return not _ids(model.weights) <= fresh

    def older_layer(self, model: keras.Model) -> keras.layers.Layer | None:
        """Return a layer that trains weights created before the build, or None if there is none."""
        created = _ids(self.created)
        layers = all_layers(model)
        return next((layer for layer in layers if not _ids(_trained(layer)) <= created), None)


def _trained(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return a layer's weights that change during training, through gradients or otherwise."""
    has_statistics = isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    return layer.weights if has_statistics else layer.trainable_variables


def _ids(variables: list[keras.Variable]) -> set[int]:
    return {id(variable) for variable in variables}


@contextmanager
def recorded_build() -> Iterator[BuildRecord]:
    """Record which variables Keras creates and assigns inside the context, one thread at a time."""
    record = BuildRecord()
    with (
        uninterrupted(),
        _followed("__init__", record.created.append),
        _followed("assign", record.assigned.append),
    ):
        yield record


@contextmanager
def _followed(name: str, function: Callable[[keras.Variable], None]) -> Iterator[None]:
    """Inside the context, call ``function`` after each call of a variable's ``name`` method."""
    original, is_own = getattr(keras.Variable, name), name in vars(keras.Variable)

    def method(variable: keras.Variable, *args: Any, **kwargs: Any) -> Any:
        result = original(variable, *args, **kwargs)
        function(variable)
        return result

    setattr(keras.Variable, name, method)
    try:
        yield
    finally:
        if is_own:
            setattr(keras.Variable, name, original)
        else:
            delattr(keras.Variable, name)
