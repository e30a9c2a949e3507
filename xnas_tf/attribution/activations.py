"""Activations of a network, summed by class while the images pass through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.models import Call, ends_in_softmax, final_layer, recorded_calls
from xnas_tf.data.preprocessing import to_model_input
from xnas_tf.errors import InputError
from xnas_tf.tracing import forgotten_custom_gradients

LAYERS = (keras.layers.Activation, keras.layers.ReLU) + tuple(
    getattr(keras.layers, name)
    for name in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
)
"""Convolution and activation layers, as the XNAS paper takes them."""
BATCH = 250
"""Images at a time, as many as a plain prediction takes."""
SAMPLE = 128
"""Positions of a layer's output that are kept of each image."""


@dataclass(frozen=True)
class LayerActivations:
    """What is kept of one layer's outputs, D numbers an image.

    Attributes:
        name: The layer's name.
        sums: Sums over the images of each class, (classes, D), float32.
        samples: Each image's outputs at random positions, the same for all images,
            (N, at most 128), float32. Scaled: their inner products are on average those of
            the whole outputs.
    """

    name: str
    sums: np.ndarray
    samples: np.ndarray


def class_activations(
    model: keras.Model,
    images: np.ndarray,
    classes: int,
    groups: np.ndarray | None = None,
    layers: Sequence[str] | None = None,
) -> tuple[list[LayerActivations], np.ndarray]:
    """Sums the outputs of all convolution and activation layers by class, in one pass.

    The sums stay on the device from batch to batch; of an image's activations only a small
    sample is kept. A final softmax is left out.

    Args:
        model: A Keras image classifier of any kind.
        images: uint8 images (N, H, W, C).
        classes: Number of classes.
        groups: The class of each image, (N,); the predicted one if None.
        layers: Names or patterns such as ``stack3*`` of the layers taken; all if None.

    Returns:
        The layers in the order of their calls, and the model's outputs (N, classes).

    Raises:
        InputError: If the model has no such layer.
    """
    traced, names = _trace(model, images, classes, groups is None, layers)
    given = np.zeros(len(images), np.int32) if groups is None else groups.astype(np.int32)
    totals: list[tf.Tensor] = []
    samples: list[list[np.ndarray]] = []
    outputs = []
    for start in range(0, max(len(images), 1), BATCH):
        rows = slice(start, start + BATCH)
        output, sums, sample = traced(tf.constant(images[rows]), tf.constant(given[rows]))
        totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums
        samples.append([s.numpy() for s in sample])
        outputs.append(output.numpy())
    by_layer = [np.concatenate(parts) for parts in zip(*samples, strict=True)]
    found = [
        LayerActivations(name, total.numpy(), rows)
        for name, total, rows in zip(names, totals, by_layer, strict=True)
    ]
    return found, np.concatenate(outputs)


def _trace(model, images, classes, predicted, layers):
    """The traced pass over one batch, and the names of its layers."""
    names: list[str] = []

    def one_batch(images: tf.Tensor, groups: tf.Tensor):
        with recorded_calls(model) as calls:
            outputs = model(to_model_input(images), training=False)
        if predicted:
            groups = tf.argmax(outputs, axis=1, output_type=tf.int32)
        members = tf.one_hot(groups, classes)
        kept = _kept(model, calls, layers)
        names[:] = [layer.name for layer, _ in kept]
        flat = [tf.reshape(tf.cast(out, tf.float32), (-1, _size(out))) for _, out in kept]
        sums = [tf.matmul(members, each, transpose_a=True) for each in flat]
        return outputs, sums, [_sampled(each) for each in flat]

    specs = tf.TensorSpec((None, *images.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int32)
    with forgotten_custom_gradients():
        traced = tf.function(one_batch, autograph=False).get_concrete_function(*specs)
    return traced, names


def _kept(model: keras.Model, calls: list[Call], layers: Sequence[str] | None) -> list[Call]:
    softmax = final_layer(model) if ends_in_softmax(model) else None
    able = [call for call in calls if isinstance(call[0], LAYERS) and call[0] is not softmax]
    if not able:
        raise InputError("the model has no convolution or activation layers to compare")
    kept = [
        call for call in able if layers is None or any(fnmatch(call[0].name, p) for p in layers)
    ]
    if not kept:
        names = ", ".join(dict.fromkeys(layer.name for layer, _ in able))
        raise InputError(f"no layer is called {' or '.join(layers or ())}; allowed: {names}")
    return kept


def _size(outputs: tf.Tensor) -> int:
    """Numbers an image."""
    return int(np.prod(outputs.shape[1:]))


def _sampled(flat: tf.Tensor) -> tf.Tensor:
    """Some positions of (B, D), scaled so that inner products keep their size on average."""
    size = flat.shape[1]
    if size <= SAMPLE:
        return flat
    drawn = np.random.default_rng(size).choice(size, SAMPLE, replace=False)
    return tf.gather(flat, np.sort(drawn), axis=1) * np.float32(np.sqrt(size / SAMPLE))
