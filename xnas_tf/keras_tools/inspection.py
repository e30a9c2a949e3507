"""Inspects Keras models of any kind while they are traced, without copying them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.keras_tools.compat import (
    graph_nodes,
    has_graph,
    logits_behind,
    producer,
    sublayers,
    untraced,
)

Call = tuple[keras.layers.Layer, tf.Tensor]
"""A layer and the output of one of its calls."""
_KEEPING_RANGE = (
    *("Flatten", "Reshape", "Squeeze", "GetItem", "Identity", "Dropout"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Mean", "Max"),
)
"""Layers and operations whose outputs are between 0 and 1 if their inputs are."""
Edit = Callable[[keras.layers.Layer, list[tf.Tensor], tf.Tensor], tf.Tensor]
"""Maps a layer and the inputs and output of a call to the output that replaces it."""


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model's layers, including those inside nested models and layers."""
    layers = sublayers(model)  # `model.layers` lacks layers inside layers
    return [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]


def normalization_momentum(model: keras.Model) -> float | None:
    """Return the largest momentum of the batch normalisation layers that training updates.

    Frozen layers keep their averages. The momentum is None if there are no other such layers.
    """
    kind = keras.layers.BatchNormalization
    layers = [each for each in all_layers(model) if isinstance(each, kind) and each.trainable]
    return max((float(each.momentum) for each in layers), default=None)


def is_functional(model: Any) -> bool:
    """Return whether a model has a graph, as functional and built sequential models do."""
    if isinstance(model, keras.Sequential):
        return model.built and bool(model.outputs)
    return has_graph(model)


def is_transparent(layer: Any) -> bool:
    """Return whether a layer is a model that only runs its graph, without its own ``call``."""
    return is_functional(layer) and type(layer).call.__module__.startswith("keras.")


def check_single_output(model: keras.Model) -> None:
    """Raise a ``TypeError`` if a functional or sequential model does not return a single tensor."""
    outputs = model.outputs if isinstance(model, keras.Sequential) else model.output
    if isinstance(outputs, list | tuple) and len(outputs) == 1:
        outputs = outputs[0]  # a call returns it without the list
    if not isinstance(outputs, keras.KerasTensor):
        raise TypeError(
            f"the model returns a {type(outputs).__name__} of {len(model.outputs)} tensor(s); "
            "wanted: only the classes, as in keras.Model(inputs, classes)"
        )


def network_of(model: keras.Model) -> keras.Model:
    """Return a plain functional model with the same layers, which loads without a custom class.

    If the model's class changes more than training (``train_step``), the model itself is returned.
    """
    if not is_transparent(model) or isinstance(model, keras.Sequential):
        return model
    return functional_model(model)


def functional_model(model: keras.Model) -> keras.Model:
    """Return a new functional model with the same layers.

    A single input is not given as a list, as the model would warn when it is called with a tensor.
    """
    ends = (each[0] if len(each) == 1 else each for each in (model.inputs, model.outputs))
    return keras.Model(*ends, name=model.name)


def has_feature_map(model: keras.Model) -> bool:
    """Return whether a layer outputs (N, height, width, channels) with more than one pixel."""
    if is_functional(model):
        nodes = [n for n in graph_nodes(model) if isinstance(n.operation, keras.layers.Layer)]
        if any(is_map(output) for node in nodes for output in node.outputs):
            return True
    inputs = [tf.zeros([1, *(size or 1 for size in t.shape[1:])], t.dtype) for t in model.inputs]
    with inlined_calls(model), recorded_calls(model) as calls:  # includes layers inside others
        model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    inner = layers_in_attention(model)
    return any(is_map(output) for layer, output in calls if layer not in inner)


def is_map(tensor: tf.Tensor | keras.KerasTensor) -> bool:
    """Return whether a tensor is (N, height, width, channels) with more than one pixel."""
    return len(tensor.shape) == 4 and tuple(tensor.shape[1:3]) != (1, 1)


def layers_in_attention(model: keras.Model) -> set[keras.layers.Layer]:
    """Return the layers inside Keras' attention layers, whose outputs are not feature maps.

    Such an output has four axes, too: the tokens, the heads, and the channels of a head.
    """
    kinds = keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention
    outer = (layer for layer in all_layers(model) if isinstance(layer, kinds))
    return {inner for layer in outer for inner in sublayers(layer)}


@dataclass(frozen=True)
class Ending:
    """How a model ends."""

    layer: Any  # the layer or Keras operation that computes the output; None if unknown
    activation: str | None  # softmax or sigmoid if one of these computes the output

    @property
    def can_be_linear(self) -> bool:
        """Whether logits can be computed: either there is no activation, or it can be left out."""
        return self.activation is None or self.layer is not None


def ending_of(model: keras.Model) -> Ending:
    """Determine a model's ending from its graph; it is unknown for subclassed models."""
    layer = _final_layer(model)
    return Ending(layer, _activation_of(layer))


def observed_ending(model: keras.Model, inputs: Any) -> Ending:
    """Find the ending of a model of any kind by calling the model on a few inputs.

    If the outputs are probabilities but the layer that computes them is not found, the ending is a
    softmax that cannot be left out. The same applies to a softmax layer that is also used elsewhere
    in the model.
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
    if outputs.shape[-1] == 1 and (logits_behind(outputs) is not None or hidden_activation(model)):
        return Ending(None, "sigmoid")
    if activation or sums_to_one(outputs):
        return Ending(None, activation or "softmax")
    return Ending(layer, None)


def sums_to_one(outputs: tf.Tensor) -> bool:
    """Return whether outputs (N, classes) are probabilities, up to the rounding of their dtype."""
    rows = np.asarray(tf.cast(outputs, tf.float32), np.float64)
    close = 1e-3 if outputs.dtype.size > 2 else 2e-2
    is_positive = rows.ndim == 2 and rows.shape[1] > 1 and bool((rows >= 0).all())
    return is_positive and np.allclose(rows.sum(axis=1), 1, atol=close)


def _final_layer(model: keras.Model) -> Any:
    """Return the layer or operation behind a functional model's output; None if unknown."""
    if not is_functional(model) or len(model.outputs) != 1:
        return None
    last = producer(model.outputs[0])
    return _final_layer(last) if isinstance(last, keras.Model) else last


def _activation_of(layer: Any) -> str | None:
    # By name, because `keras.ops` and TensorFlow have the same functions as `keras.activations`.
    function = getattr(layer, "activation", None) or getattr(layer, "function", None)  # of Lambda
    own = getattr(function, "__name__", "").removesuffix("_v2")  # of tf.nn.softmax
    names = type(layer).__name__.lower(), own
    return next((name for name in ("softmax", "sigmoid") if name in names), None)


def hidden_activation(model: keras.Model) -> str | None:
    """Return the softmax or sigmoid before the last layers, if these only reshape or average.

    Without this check, such outputs would be mistaken for logits, and passed through a second
    softmax or sigmoid.
    """
    if not is_functional(model):
        return None
    nodes = {id(tensor): node for node in graph_nodes(model) for tensor in node.outputs}
    node = nodes.get(id(model.outputs[0]))
    while node is not None and _keeps_range(node.operation):
        node = nodes.get(id(node.input_tensors[0]))
    last = node.operation if node is not None else None
    return hidden_activation(last) if isinstance(last, keras.Model) else _activation_of(last)


def _keeps_range(operation: Any) -> bool:
    is_linear = getattr(operation, "activation", None) is keras.activations.linear
    name = type(operation).__name__
    return name in _KEEPING_RANGE or (is_linear and name == "Activation")


@contextmanager
def linear_output(ending: Ending) -> Iterator[None]:
    """Leave out the final softmax or sigmoid of a model traced inside the context.

    The model then returns logits, unless the activation was not found.
    """
    layer = ending.layer
    if layer is None or ending.activation is None:
        yield
    elif hasattr(layer, "activation"):
        with _replaced(layer, "activation", keras.activations.linear):
            yield
    else:
        with _replaced(layer, "call", lambda inputs, *_, **__: inputs):
            yield


@contextmanager
def inlined_calls(model: keras.Model) -> Iterator[None]:
    """Trace each ``call`` that is a ``tf.function`` as a plain Python function inside the context.

    Otherwise, layers inside the function could not be observed, and ``freed_custom_gradients``
    would break its traces.
    """
    with ExitStack() as replaced:
        for layer in [model, *all_layers(model)]:
            if isinstance(layer.call, tf.types.experimental.PolymorphicFunction):
                replaced.enter_context(_replaced(layer, "call", untraced(layer.call)))
        yield


@contextmanager
def edited_calls(model: keras.Model, edit: Edit) -> Iterator[None]:
    """Make each layer return ``edit(layer, inputs, outputs)`` inside the context.

    ``inputs`` are the call's tensors, flattened. Layers that do not output a single tensor are not
    edited. Inner layers are edited before the layers that contain them.
    """

    def edited(layer: keras.layers.Layer) -> Callable[..., Any]:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            if not tf.is_tensor(outputs):
                return outputs
            return edit(layer, [t for t in tf.nest.flatten(args) if tf.is_tensor(t)], outputs)

        return call

    with ExitStack() as replaced:
        for layer in all_layers(model):
            replaced.enter_context(_replaced(layer, "call", edited(layer)))
        yield


@contextmanager
def recorded_calls(model: keras.Model) -> Iterator[list[Call]]:
    """Record the output of each layer called inside the context, in call order."""
    calls: list[Call] = []

    def record(layer: keras.layers.Layer, _: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        calls.append((layer, outputs))
        return outputs

    with edited_calls(model, record):
        yield calls


@contextmanager
def _replaced(layer: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a layer's function inside the context, bypassing Keras' attribute tracking."""
    before = vars(layer).get(name)
    object.__setattr__(layer, name, function)
    try:
        yield
    finally:
        if before is None:
            object.__delattr__(layer, name)
        else:
            object.__setattr__(layer, name, before)
