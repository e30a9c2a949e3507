"""Looking into a Keras model of any kind while it is traced: functional, sequential,
subclassed or nested. Layers are watched in place, so no copies or views of it are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

Call = tuple[keras.layers.Layer, tf.Tensor]
"""A layer and what one call of it returned."""


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model, those inside nested models and layers included."""
    layers = model._flatten_layers(include_self=False)  # `layers` has no layers of layers
    return [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]


def is_functional(model: keras.Model) -> bool:
    """Whether a model knows its own graph: functional, or sequential and built."""
    if isinstance(model, keras.Sequential):
        return model.built and bool(model.outputs)
    return hasattr(model, "_nodes_by_depth")


def final_layer(model: keras.Model) -> Any:
    """The layer, or Keras operation, that makes a model's output.

    A subclassed model doesn't say; it is its last layer that is taken for it.
    """
    if is_functional(model) and len(model.outputs) == 1:
        last = model.outputs[0]._keras_history.operation
    else:
        last = model.layers[-1] if model.layers else model
    return final_layer(last) if isinstance(last, keras.Model) and last is not model else last


def final_activation(model: keras.Model) -> str | None:
    """``softmax`` or ``sigmoid`` where that is how a model ends."""
    last = final_layer(model)
    for name in ("softmax", "sigmoid"):
        function = getattr(last, "activation", None)
        if type(last).__name__.lower() == name or function is getattr(keras.activations, name):
            return name
    return None


def ends_in_softmax(model: keras.Model) -> bool:
    """Whether the model's outputs are probabilities made by a softmax."""
    return final_activation(model) == "softmax"


@contextmanager
def linear_output(model: keras.Model) -> Iterator[None]:
    """Inside, a final softmax or sigmoid is left out of what is traced: logits come out."""
    if final_activation(model) is None:
        yield
    elif hasattr(last := final_layer(model), "activation"):
        activation, last.activation = last.activation, keras.activations.linear
        try:
            yield
        finally:
            last.activation = activation
    else:
        with replaced_call(last, lambda inputs, *_, **__: inputs):
            yield


@contextmanager
def recorded_calls(model: keras.Model) -> Iterator[list[Call]]:
    """Inside, notes what each layer returns, in the order of the calls."""
    calls: list[Call] = []

    def watch(layer: keras.layers.Layer) -> Callable:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            if tf.is_tensor(outputs):
                calls.append((layer, outputs))
            return outputs

        return call

    with ExitStack() as replaced:
        for layer in all_layers(model):
            replaced.enter_context(replaced_call(layer, watch(layer)))
        yield calls


@contextmanager
def replaced_call(layer: Any, call: Callable) -> Iterator[None]:
    """Gives one layer a ``call`` of its own, past Keras' tracking of attributes."""
    before = vars(layer).get("call")
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        if before is None:
            object.__delattr__(layer, "call")
        else:
            object.__setattr__(layer, "call", before)
