"""Activations of a network, summed by class while the images pass through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import Call, inlined_calls, recorded_calls
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import FEW_RUNS, forgotten_custom_gradients
from xnas_tf.utils.heartbeat import beat

LAYERS = tuple(
    getattr(keras.layers, name)
    for name in (
        *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"),
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    )
)
"""Convolution and activation layers, as the XNAS paper takes them."""
BATCH = 250
"""Images at a time: bounds the memory."""
SAMPLE = 64
"""Positions of a layer's output that are kept of each image."""


@dataclass(frozen=True)
class LayerActivations:
    """What is kept of one layer's outputs, D numbers an image.

    Attributes:
        name: The layer's name.
        sums: Sums over the images of each class, (classes, D), float32.
        squares: Sums over the images of each class of the outputs' square lengths, (classes,),
            float64.
        samples: Each image's outputs at random positions, the same for all images,
            (N, at most 64), float32. Scaled: their inner products are on average those of
            the whole outputs.
    """

    name: str
    sums: np.ndarray
    squares: np.ndarray
    samples: np.ndarray


def class_activations(
    model: keras.Model,
    images: np.ndarray,
    classes: int,
    groups: np.ndarray,
    layers: Sequence[str] | None = None,
) -> list[LayerActivations]:
    """Sums the outputs of all convolution and activation layers, and their square lengths, by
    class, in one pass.

    The sums stay on the device from batch to batch; of an image's activations only a small
    sample is kept. A final softmax is left out.

    Args:
        model: A Keras image classifier of any kind.
        images: uint8 images (N, H, W, C).
        classes: Number of classes.
        groups: The class of each image, (N,).
        layers: Names or patterns such as ``stack3*`` of the layers taken; all if None.

    Returns:
        The layers in the order of their calls; a layer that is called again has ``NAME_2``.

    Raises:
        InputError: If the model has no such layer.
    """
    one_batch, names = _pass(model, images, classes, layers)
    totals: list[tf.Tensor] = []
    squares: np.ndarray | float = 0.0
    samples: list[list[np.ndarray]] = []
    # Without images, as on one of many ranks, an image of no class: the sums need a shape.
    given = groups if len(images) else np.full(1, -1)
    shown = images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)
    for start in range(0, len(shown), BATCH):
        rows = slice(start, start + BATCH)
        batch = tf.constant(shown[rows]), tf.constant(given[rows], tf.int32)
        sums, lengths, sample = one_batch(*batch)
        totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums
        squares = squares + lengths.numpy().astype(np.float64)
        samples.append([s.numpy() for s in sample])
        beat()
    found = []
    everything = zip(names, totals, squares, zip(*samples, strict=True), strict=True)
    for name, total, lengths, parts in everything:
        rows = np.concatenate(parts)[: len(images)]
        scale = np.float32(np.sqrt(total.shape[1] / rows.shape[1]))
        found.append(LayerActivations(name, total.numpy(), lengths, scale * rows))
    return found


def _pass(
    model: keras.Model, images: np.ndarray, classes: int, layers: Sequence[str] | None
) -> tuple[Callable, list[str]]:
    """The pass over one batch, and the names of its layers, which are known once it has run.
    Traced unless there are few batches."""
    names: list[str] = []

    def one_batch(images: tf.Tensor, groups: tf.Tensor):
        with inlined_calls(model), recorded_calls(model) as calls:
            outputs = model(to_model_input(images), training=False)
        kept = _kept(calls, outputs, layers)
        names[:] = [name for name, _ in kept]
        members = tf.one_hot(groups, classes)
        flat = [tf.reshape(tf.cast(out, tf.float32), (-1, _size(out))) for _, out in kept]
        sums = [tf.matmul(members, each, transpose_a=True) for each in flat]
        lengths = [tf.reduce_sum(tf.square(each), axis=1) for each in flat]
        squares = tf.matmul(tf.stack(lengths), members)
        return sums, squares, [_sampled(each) for each in flat]

    if len(images) <= FEW_RUNS * BATCH:
        return one_batch, names
    specs = tf.TensorSpec((None, *images.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int32)
    with forgotten_custom_gradients():
        return tf.function(one_batch, autograph=False).get_concrete_function(*specs), names


def _kept(
    calls: list[Call], outputs: tf.Tensor, layers: Sequence[str] | None
) -> list[tuple[str, tf.Tensor]]:
    """Names and outputs of the layers that count; the model's own output is no activation."""
    able = [call for call in calls if isinstance(call[0], LAYERS) and call[1] is not outputs]
    if not able:
        raise InputError("the model has no convolution or activation layers to compare")
    names = [layer.name for layer, _ in able]
    names = [
        name if name not in names[:i] else f"{name}_{names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
    kept = [
        (name, out)
        for name, (_, out) in zip(names, able, strict=True)
        if layers is None or any(fnmatch(name, pattern) for pattern in layers)
    ]
    if not kept:
        wanted = " or ".join(layers or ())
        raise InputError(f"no layer is called {wanted}; allowed: {', '.join(names)}")
    return kept


def _size(outputs: tf.Tensor) -> int:
    """Numbers an image."""
    return int(np.prod(outputs.shape[1:]))


def _sampled(flat: tf.Tensor) -> tf.Tensor:
    """Some positions of (B, D), at random but the same for all images."""
    size = flat.shape[1]
    if size <= SAMPLE:
        return flat
    drawn = np.random.default_rng(size).choice(size, SAMPLE, replace=False)
    return tf.gather(flat, np.sort(drawn), axis=1)
