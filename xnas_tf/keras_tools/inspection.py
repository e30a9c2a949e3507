"""Looking into a Keras model of any kind while it is traced: functional, sequential,
subclassed or nested. Layers are watched in place, so no copies or views of it are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Call = tuple[keras.layers.Layer, tf.Tensor]
"""A layer and what one call of it returned."""
Edit = Callable[[keras.layers.Layer, list[tf.Tensor], tf.Tensor], tf.Tensor]
"""What becomes of a call's outputs, from the layer, its inputs and its outputs."""


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model, those inside nested models and layers included."""
    layers = model._flatten_layers(include_self=False)  # `layers` has no layers of layers
    return [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]


def is_functional(model: keras.Model) -> bool:
    """Whether a model knows its own graph: functional, or sequential and built."""
    if isinstance(model, keras.Sequential):
        return model.built and bool(model.outputs)
    return hasattr(model, "_nodes_by_depth")


def is_transparent(layer: Any) -> bool:
    """Whether a layer is a model that does what its graph says: no ``call`` of its own."""
    return is_functional(layer) and type(layer).call.__module__.startswith("keras.")


def network_of(model: keras.Model) -> keras.Model:
    """The plain functional model of the layers of a model whose class only trains differently,
    such as one with its own ``train_step``; the model itself where its class does more.

    Others can load it without that class.
    """
    if not is_transparent(model) or isinstance(model, keras.Sequential):
        return model
    return keras.Model(model.inputs, model.outputs, name=model.name)


@dataclass(frozen=True)
class Ending:
    """How a model ends.

    Attributes:
        layer: The layer, or Keras operation, that makes its output; None if it isn't known.
        activation: ``softmax`` or ``sigmoid`` where its output is made by one.
    """

    layer: Any
    activation: str | None

    @property
    def can_be_linear(self) -> bool:
        """Whether logits can be had: there is nothing to leave out, or it is known where."""
        return self.activation is None or self.layer is not None


def ending_of(model: keras.Model) -> Ending:
    """How a model ends, as far as its graph says; unknown for subclassed models."""
    layer = _final_layer(model)
    return Ending(layer, _activation_of(layer))


def observed_ending(model: keras.Model, inputs: Any) -> Ending:
    """How a model of any kind ends, found by calling it on a few inputs.

    Outputs that are probabilities although no layer is seen to make them so count as a
    softmax that cannot be left out; so does a softmax layer that is used elsewhere too.
    """
    with inlined_calls(model):
        model(inputs, training=False)  # Keras calls each layer twice when it builds them
        with recorded_calls(model) as calls:
            outputs = model(inputs, training=False)
    outputs = tf.nest.flatten(outputs)[0]
    # Layers inside others return first.
    layer = next((layer for layer, out in calls if out is outputs), _final_layer(model))
    activation = _activation_of(layer)
    if activation and sum(each is layer for each, _ in calls) <= 1:
        return Ending(layer, activation)
    rows = np.asarray(outputs, np.float64)
    sums_to_one = rows.ndim == 2 and rows.shape[1] > 1 and (rows >= 0).all()
    if activation or (sums_to_one and np.allclose(rows.sum(axis=1), 1, atol=1e-3)):
        return Ending(None, activation or "softmax")
    return Ending(layer, None)


def _final_layer(model: keras.Model) -> Any:
    """The layer or operation of a functional model's output; None where it isn't known."""
    if not is_functional(model) or len(model.outputs) != 1:
        return None
    last = model.outputs[0]._keras_history.operation
    return _final_layer(last) if isinstance(last, keras.Model) else last


def _activation_of(layer: Any) -> str | None:
    function = getattr(layer, "activation", None)
    for name in ("softmax", "sigmoid"):
        if type(layer).__name__.lower() == name or function is getattr(keras.activations, name):
            return name
    return None


def ends_in_softmax(model: keras.Model) -> bool:
    """Whether the model's outputs are probabilities made by a softmax."""
    return ending_of(model).activation == "softmax"


@contextmanager
def linear_output(ending: Ending) -> Iterator[None]:
    """Inside, a final softmax or sigmoid is left out of what is traced: logits come out, unless
    it isn't known where it is."""
    layer = ending.layer
    if layer is None or ending.activation is None:
        yield
    elif hasattr(layer, "activation"):
        activation, layer.activation = layer.activation, keras.activations.linear
        try:
            yield
        finally:
            layer.activation = activation
    else:
        with replaced_call(layer, lambda inputs, *_, **__: inputs):
            yield


@contextmanager
def inlined_calls(model: keras.Model) -> Iterator[None]:
    """Inside, a ``call`` that is a ``tf.function`` is traced as the Python that it was made of.

    Otherwise its layers could not be watched, and a trace that it keeps would lose its custom
    gradients with ``forgotten_custom_gradients``.
    """
    with ExitStack() as replaced:
        for layer in [model, *all_layers(model)]:
            if isinstance(layer.call, tf.types.experimental.PolymorphicFunction):
                replaced.enter_context(replaced_call(layer, layer.call.python_function))
        yield


@contextmanager
def edited_calls(model: keras.Model, edit: Edit) -> Iterator[None]:
    """Inside, a layer returns ``edit(layer, inputs, outputs)`` in place of its outputs.

    ``inputs`` are the tensors of the call, flattened. Layers whose outputs are no single tensor
    are left alone; layers inside others are edited first.
    """

    def edited(layer: keras.layers.Layer) -> Callable:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            if not tf.is_tensor(outputs):
                return outputs
            return edit(layer, [t for t in tf.nest.flatten(args) if tf.is_tensor(t)], outputs)

        return call

    with ExitStack() as replaced:
        for layer in all_layers(model):
            replaced.enter_context(replaced_call(layer, edited(layer)))
        yield


@contextmanager
def recorded_calls(model: keras.Model) -> Iterator[list[Call]]:
    """Inside, notes what each layer returns, in the order of the calls."""
    calls: list[Call] = []

    def note(layer: keras.layers.Layer, _: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        calls.append((layer, outputs))
        return outputs

    with edited_calls(model, note):
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
