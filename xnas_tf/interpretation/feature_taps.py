"""Finds where to read feature maps: at the ends of convolution blocks, or at named layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import count
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from xnas_tf.errors import InputError, suggest
from xnas_tf.keras_tools.compat import sublayers
from xnas_tf.keras_tools.inspection import (
    all_layers,
    edited_calls,
    inlined_calls,
    layers_in_attention,
)
from xnas_tf.keras_tools.tracing import freed_custom_gradients

CONVOLUTIONS = tuple(
    getattr(keras.layers, name)
    for name in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
)
PASSING = tuple(
    getattr(keras.layers, name)
    for name in (
        *("BatchNormalization", "LayerNormalization", "GroupNormalization", "Add"),
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"),
    )
)
"""Layers that belong to the preceding convolution's block if nothing else uses its output."""


@dataclass(frozen=True)
class Tap:  # not a tuple, in which Keras would find the layer if a model has taps
    """One call of a layer that outputs feature maps.

    Its name is the layer's or, for a second call or if another layer has the name, as layers inside
    other layers may, ``NAME_2`` or the next number that is free.
    """

    name: str
    layer: keras.layers.Layer
    call: int  # index of this call among the layer's calls, from 0
    shape: tuple[int, ...]  # of the output for one image, (H, W, channels)

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return self.shape[-1]


class _Call(NamedTuple):
    tap: Tap
    inputs: list[tf.Tensor]
    outputs: tf.Tensor


def find_taps(
    model: keras.Model, images: tf.Tensor, layers: str | Sequence[str] | None = None
) -> list[Tap]:
    """Run a model once to find the layer calls at which to read feature maps.

    The taps, in call order, are at ``layers``, which are names of layers that return feature maps
    or patterns such as ``stack3*``. By default, they are the ends of the convolution blocks. A
    block extends from a convolution through normalisation, activation and the sum with other
    branches, unless an intermediate value is also used elsewhere. In a NAS-Bench-201 cell, the
    block ends are the cell's nodes; in a residual network, they are the outputs of the residual
    blocks and of the convolutions inside them.

    ``images`` (B, H, W, C) are a few images in the model's input range.

    Raises:
        InputError: If the model has no convolutions or expects its channels first, or a name or
            pattern matches no layer with feature maps.
    """
    for layer in all_layers(model):
        if getattr(layer, "data_format", "") == "channels_first":
            raise InputError(f"layer {layer.name!r} expects its channels first; allowed: last")
    calls = _record_calls(model, images)
    with_maps = [call for call in calls if call.outputs.shape.rank == 4]
    if layers is not None:
        patterns = [layers] if isinstance(layers, str) else list(layers)
        return _matching([call.tap for call in with_maps], patterns)
    ends = [_block_end(c, calls) for c in with_maps if isinstance(c.tap.layer, CONVOLUTIONS)]
    if not ends:
        raise InputError("the model has no convolutions")
    return [call.tap for call in with_maps if any(call is end for end in ends)]


def _record_calls(model: keras.Model, images: tf.Tensor) -> list[_Call]:
    calls: list[_Call] = []
    seen: Counter[int] = Counter()
    own_names = {layer.name for layer in all_layers(model)}
    taken: set[str] = set()
    inner = layers_in_attention(model)

    def record(layer: keras.layers.Layer, inputs: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        if layer not in inner and (not sublayers(layer) or isinstance(layer, CONVOLUTIONS)):
            name = layer.name
            if name in taken:
                numbered = (f"{name}_{number}" for number in count(2))
                name = next(each for each in numbered if each not in own_names | taken)
            taken.add(name)
            tap = Tap(name, layer, seen[id(layer)], tuple(outputs.shape[1:]))
            calls.append(_Call(tap, inputs, outputs))
        seen[id(layer)] += 1
        return outputs

    with inlined_calls(model):
        model(images, training=False)  # while building layers, Keras calls each of them twice
        with edited_calls(model, record):
            model(images, training=False)
    return calls


def _block_end(call: _Call, calls: list[_Call]) -> _Call:
    """Return the last call of a convolution's block."""
    others = (other for other in calls if other.outputs is not call.outputs)
    users = [other for other in others if any(t is call.outputs for t in other.inputs)]
    if len(users) == 1 and isinstance(users[0].tap.layer, PASSING):
        return _block_end(users[0], calls)
    return call


def _matching(taps: list[Tap], patterns: Sequence[str]) -> list[Tap]:
    if not patterns:
        raise InputError("`layers` is empty; allowed: at least one name or pattern")
    names = [tap.name for tap in taps]
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            raise InputError(
                f"`layers`: no layer with feature maps is called {suggest(pattern, names)}"
            )
    return [tap for tap in taps if any(fnmatch(tap.name, pattern) for pattern in patterns)]


def concrete(
    model: keras.Model, function: Callable[..., Any], *specs: tf.TensorSpec
) -> tf.types.experimental.ConcreteFunction:
    """Trace a function that calls a model, the layers of which it may replace."""
    with freed_custom_gradients(), inlined_calls(model):
        return tf.function(function, autograph=False).get_concrete_function(*specs)


def run_tapped(
    model: keras.Model,
    taps: Sequence[Tap],
    inputs: tf.Tensor,
    edit: Callable[[int, tf.Tensor], tf.Tensor] = lambda _, outputs: outputs,
    training: bool = False,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Run a model in which the outputs of each tap are replaced with ``edit(tap index, outputs)``.

    The inputs are (B, H, W, C). Layers are edited in place while the model runs, so functional,
    sequential, nested and subclassed models are all supported.

    Returns:
        The model's output, and the edited outputs of each tap, as float32.
    """
    indices = {(id(tap.layer), tap.call): index for index, tap in enumerate(taps)}
    seen: Counter[int] = Counter()
    found: dict[int, tf.Tensor] = {}

    def edited(layer: keras.layers.Layer, _: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        index = indices.get((id(layer), seen[id(layer)]))
        seen[id(layer)] += 1
        if index is not None:
            outputs = edit(index, outputs)
            found[index] = tf.cast(outputs, tf.float32)
        return outputs

    with edited_calls(model, edited):
        outputs = model(inputs, training=training)
    maps = [found[index] for index in range(len(taps))]
    return tf.cast(tf.nest.flatten(outputs)[0], tf.float32), maps
