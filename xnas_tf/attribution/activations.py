"""A network's activations, summed by class in a single pass over the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import Call, inlined_calls, recorded_calls
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import FEW_RUNS, freed_custom_gradients
from xnas_tf.utils.heartbeat import report_progress

LAYERS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
)
"""Convolution and activation layers, as in the XNAS paper."""
BATCH = 250
"""Images per batch, which bounds the memory."""
SAMPLE = 64
"""Positions of a layer's output to sample for each image."""
_BatchSums = tuple[list[tf.Tensor], tf.Tensor, list[tf.Tensor]]
"""Each layer's sums, all layers' squared norms, and each layer's samples."""


@dataclass(frozen=True)
class LayerActivations:
    """Statistics of one layer's outputs, or of attribution maps, with D values per image.

    Attributes:
        name: The layer's name.
        sums: Sums over the images of each class, (classes, D), float32.
        squares: Sums over the images of each class of the outputs' squared norms, (classes,),
            float64.
        samples: Each image's outputs at random positions, the same for all images,
            (N, at most 64), float32, scaled so that their inner products are on average those
            of the complete outputs.
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
    """Sum the outputs of convolution and activation layers, and their squared norms, by class.

    The sums stay on the device between batches, and only a small sample of an image's
    activations is kept. A final softmax is excluded.

    Args:
        model: A Keras image classifier of any kind.
        images: uint8 images (N, H, W, C).
        classes: Number of classes.
        groups: The class of each image, (N,).
        layers: Names or patterns such as ``stack3*`` of the layers to include; all if None.

    Returns:
        The layers in call order; the second call of a layer is named ``NAME_2``.

    Raises:
        InputError: If the model has no such layer.
    """
    sum_batch, names = _batch_function(model, images, classes, layers)
    count = len(images)
    if not count:  # an image without a class gives the sums their shape
        images, groups = np.zeros((1, *images.shape[1:]), np.uint8), np.full(1, -1)
    sums: list[tf.Tensor] = []
    squares: np.ndarray = np.zeros(())
    samples: list[list[np.ndarray]] = []
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        added, added_squares, sample = sum_batch(
            tf.constant(images[rows]), tf.constant(groups[rows], tf.int32)
        )
        sums = [a + b for a, b in zip(sums, added, strict=True)] if sums else added
        squares = squares + added_squares.numpy().astype(np.float64)
        samples.append([each.numpy() for each in sample])
        report_progress()
    activations = []
    by_layer = zip(names, sums, squares, zip(*samples, strict=True), strict=True)
    for name, layer_sums, layer_squares, batches in by_layer:
        sampled = np.concatenate(batches)[:count]
        scale = np.float32(np.sqrt(layer_sums.shape[1] / sampled.shape[1]))
        activations.append(
            LayerActivations(name, layer_sums.numpy(), layer_squares, scale * sampled)
        )
    return activations


def _batch_function(
    model: keras.Model, images: np.ndarray, classes: int, layers: Sequence[str] | None
) -> tuple[Callable[[tf.Tensor, tf.Tensor], _BatchSums], list[str]]:
    """Return a function that sums one batch, traced if there are many batches.

    The second value is a list to which the function writes the layers' names when it runs.
    """
    names: list[str] = []

    def sum_batch(images: tf.Tensor, groups: tf.Tensor) -> _BatchSums:
        with inlined_calls(model), recorded_calls(model) as calls:
            outputs = model(to_model_input(images), training=False)
        selected = _select(calls, outputs, layers)
        names[:] = [name for name, _ in selected]
        members = tf.one_hot(groups, classes)
        flat = [
            tf.reshape(tf.cast(out, tf.float32), (-1, math.prod(out.shape[1:])))
            for _, out in selected
        ]
        sums = [tf.matmul(members, each, transpose_a=True) for each in flat]
        squared_norms = [tf.reduce_sum(tf.square(each), axis=1) for each in flat]
        squares = tf.matmul(tf.stack(squared_norms), members)
        return sums, squares, [_sampled(each) for each in flat]

    if len(images) <= FEW_RUNS * BATCH:
        return sum_batch, names
    specs = tf.TensorSpec((None, *images.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int32)
    with freed_custom_gradients():
        return tf.function(sum_batch, autograph=False).get_concrete_function(*specs), names


def _select(
    calls: list[Call], outputs: tf.Tensor, layers: Sequence[str] | None
) -> list[tuple[str, tf.Tensor]]:
    """Return names and outputs of the requested layers, without the model's own output."""
    suitable = [call for call in calls if isinstance(call[0], LAYERS) and call[1] is not outputs]
    if not suitable:
        raise InputError("the model has no convolution or activation layers to compare")
    names = [layer.name for layer, _ in suitable]
    names = [
        name if name not in names[:i] else f"{name}_{names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
    selected = [
        (name, out)
        for name, (_, out) in zip(names, suitable, strict=True)
        if layers is None or any(fnmatch(name, pattern) for pattern in layers)
    ]
    if not selected:
        wanted = " or ".join(layers or ())
        raise InputError(f"no layer is called {wanted}; allowed: {', '.join(names)}")
    return selected


def _sampled(flat: tf.Tensor) -> tf.Tensor:
    """Return random positions of (B, D), the same for all images."""
    size = flat.shape[1]
    if size <= SAMPLE:
        return flat
    positions = np.random.default_rng(size).choice(size, SAMPLE, replace=False)
    return tf.gather(flat, np.sort(positions), axis=1)
