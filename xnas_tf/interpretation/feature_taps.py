"""Where a network is looked into: the ends of its convolution blocks, or layers by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch

import keras
import tensorflow as tf

from xnas_tf.errors import InputError, suggest
from xnas_tf.keras_tools.inspection import edited_calls, inlined_calls

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
"""What belongs to the block of the convolution before it, if nothing else uses that."""


@dataclass(frozen=True)
class Tap:
    """One call of a layer that returns feature maps.

    Attributes:
        name: The layer's name; a layer that is called again has ``NAME_2``.
        layer: The layer.
        call: Which of its calls, from 0.
        channels: Channels of what it returns, the last axis.
    """

    name: str
    layer: keras.layers.Layer
    call: int
    channels: int


@dataclass(frozen=True)
class _Call:
    tap: Tap
    inputs: list[tf.Tensor]
    outputs: tf.Tensor


def find_taps(
    model: keras.Model, images: tf.Tensor, layers: str | Sequence[str] | None = None
) -> list[Tap]:
    """Finds where to look into a model, by showing it a few images.

    By default the end of each convolution block: from a convolution over normalisation,
    activation and the sum with other branches, as long as nothing else uses what lies between.
    In a cell of NAS-Bench-201 these are its nodes, in a residual network the blocks' outputs
    and the convolutions inside them.

    Args:
        model: A Keras image classifier of any kind.
        images: A few images (B, H, W, C) in the model's range.
        layers: Names, or patterns such as ``stack3*``, of layers that return feature maps.

    Returns:
        The places in the order of the calls.

    Raises:
        InputError: If the model has no convolutions, or no such layer.
    """
    calls = _calls(model, images)
    able = [call for call in calls if call.outputs.shape.rank == 4]
    if layers is not None:
        patterns = [layers] if isinstance(layers, str) else layers
        return _named([call.tap for call in able], patterns)
    ends = [_end(call, calls) for call in able if isinstance(call.tap.layer, CONVOLUTIONS)]
    if not ends:
        raise InputError("the model has no convolutions to look into")
    return [call.tap for call in able if any(call is end for end in ends)]


def _calls(model: keras.Model, images: tf.Tensor) -> list[_Call]:
    calls: list[_Call] = []
    seen: Counter = Counter()

    def note(layer: keras.layers.Layer, inputs: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        count = seen[id(layer)]
        seen[id(layer)] += 1
        name = layer.name if not count else f"{layer.name}_{count + 1}"
        is_whole = not list(layer._flatten_layers(include_self=False))
        if is_whole or isinstance(layer, CONVOLUTIONS):
            calls.append(_Call(Tap(name, layer, count, outputs.shape[-1]), inputs, outputs))
        return outputs

    with inlined_calls(model):
        model(images, training=False)  # Keras calls each layer twice when it builds them
        with edited_calls(model, note):
            model(images, training=False)
    return calls


def _end(call: _Call, calls: list[_Call]) -> _Call:
    """The last call of a convolution's block."""
    users = [
        other
        for other in calls
        if other.outputs is not call.outputs and any(t is call.outputs for t in other.inputs)
    ]
    if len(users) == 1 and isinstance(users[0].tap.layer, PASSING):
        return _end(users[0], calls)
    return call


def _named(taps: list[Tap], layers: Sequence[str]) -> list[Tap]:
    names = [tap.name for tap in taps]
    for pattern in layers:
        if not any(fnmatch(name, pattern) for name in names):
            raise InputError(
                f"--layers: no layer with feature maps is called {suggest(pattern, names)}"
            )
    return [tap for tap in taps if any(fnmatch(tap.name, pattern) for pattern in layers)]


@contextmanager
def tapped(
    model: keras.Model, taps: Sequence[Tap], edit: Callable[[int, tf.Tensor], tf.Tensor]
) -> Iterator[None]:
    """Inside, the outputs at each place become ``edit(number of the place, outputs)``."""
    places = {(id(tap.layer), tap.call): number for number, tap in enumerate(taps)}
    seen: Counter = Counter()

    def edited(layer: keras.layers.Layer, _: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        place = places.get((id(layer), seen[id(layer)]))
        seen[id(layer)] += 1
        return outputs if place is None else edit(place, outputs)

    with edited_calls(model, edited):
        yield
