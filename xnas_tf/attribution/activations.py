"""Sums of a network's activations by class, computed in a single pass over the images."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain, count

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import Call, inlined_calls, recorded_calls
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import FEW_RUNS, freed_custom_gradients
from xnas_tf.utils.heartbeat import report_progress

CONVOLUTIONS = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D, L.Conv2DTranspose)
ACTIVATIONS = (L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU, L.Softmax)
LAYERS = CONVOLUTIONS + ACTIVATIONS
"""Convolution and activation layers, as in the XNAS paper."""
BATCH = 250
"""Number of images per batch, which limits memory use."""
SAMPLE = 64
"""Number of positions to sample from a layer's output for each image."""
_BatchSums = dict[str, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
"""The sums, squared norms and samples of each layer, by the layer's name."""


@dataclass(frozen=True)
class LayerActivations:
    """Statistics of a layer's outputs or of attribution maps, which have D values per image.

    Attributes:
        name: The layer's name.
        sums: Sum of the outputs over the images of each class, (classes, D), float32.
        squares: Sum of the outputs' squared norms over the images of each class, (classes,),
            float64.
        samples: Outputs of each image at a fixed set of random positions, (N, at most 64), float32,
            scaled so that, on average, their inner products equal those of the complete outputs.
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
    """For each class, sum the outputs of convolution and activation layers and their squared norms.

    A final softmax is excluded. Layers are listed in call order; a layer's second call is named
    ``NAME_2``.

    Args:
        model: A Keras image classifier of any kind.
        images: uint8 images (N, H, W, C).
        classes: Number of classes.
        groups: The class of each image, (N,).
        layers: Layer names to include, or patterns such as ``stack3*``; None includes all layers.

    Raises:
        InputError: If the model has none of these layers.
    """
    sum_batch, total_images = _batch_function(model, images, classes, layers), len(images)
    if not total_images:  # an image without a class determines the shape of the sums
        images, groups = np.zeros((1, *images.shape[1:]), np.uint8), np.full(1, -1)
    sums: dict[str, tf.Tensor] = {}
    squares: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(classes))
    samples: dict[str, list[np.ndarray]] = defaultdict(list)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        batch = sum_batch(tf.constant(images[rows]), tf.constant(groups[rows], tf.int32))
        for name, (added, added_squares, sample) in batch.items():
            sums[name] = sums[name] + added if name in sums else added
            squares[name] += added_squares.numpy()
            samples[name].append(sample.numpy())
        report_progress()
    activations = []
    for name, total in sums.items():
        sampled = np.concatenate(samples[name])[:total_images]
        scale = np.float32(np.sqrt(total.shape[1] / sampled.shape[1]))
        activations.append(LayerActivations(name, total.numpy(), squares[name], scale * sampled))
    return activations


def _batch_function(
    model: keras.Model, images: np.ndarray, classes: int, layers: Sequence[str] | None
) -> Callable[[tf.Tensor, tf.Tensor], _BatchSums]:
    """Return a function that sums one batch; it is traced if there are many batches."""

    def sum_batch(images: tf.Tensor, groups: tf.Tensor) -> _BatchSums:
        with inlined_calls(model), recorded_calls(model) as calls:
            outputs = model(to_model_input(images), training=False)
        members = tf.one_hot(groups, classes)
        flat = {
            name: tf.reshape(tf.cast(out, tf.float32), (-1, math.prod(out.shape[1:])))
            for name, out in _select(calls, outputs, layers).items()
        }
        squared_norms = [tf.reduce_sum(tf.square(each), axis=1) for each in flat.values()]
        squares = tf.unstack(tf.matmul(tf.stack(squared_norms), members))
        return {
            name: (tf.matmul(members, each, transpose_a=True), own_squares, _sampled(each))
            for (name, each), own_squares in zip(flat.items(), squares, strict=True)
        }

    if len(images) <= FEW_RUNS * BATCH:
        return sum_batch
    specs = tf.TensorSpec((None, *images.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int32)
    with freed_custom_gradients():
        return tf.function(sum_batch, autograph=False).get_concrete_function(*specs)


def _select(
    calls: list[Call], model_output: tf.Tensor, layers: Sequence[str] | None
) -> dict[str, tf.Tensor]:
    """Return the outputs of the requested layers by name, without the model's own output."""
    outputs: dict[str, tf.Tensor] = {}
    for layer, output in calls:
        if isinstance(layer, LAYERS) and output is not model_output:
            numbered = (f"{layer.name}_{number}" for number in count(2))
            name = next(each for each in chain([layer.name], numbered) if each not in outputs)
            outputs[name] = output
    if not outputs:
        raise InputError("the model has no convolution or activation layers to compare")
    if layers is None:
        return outputs
    chosen = [name for name in outputs if any(fnmatch(name, pattern) for pattern in layers)]
    if not chosen:
        raise InputError(f"no layer is called {' or '.join(layers)}; allowed: {', '.join(outputs)}")
    return {name: outputs[name] for name in chosen}


def _sampled(flat: tf.Tensor) -> tf.Tensor:
    """Return an array's values, (B, D), at random positions that are the same for every image."""
    size = flat.shape[1]
    if size <= SAMPLE:
        return flat
    positions = np.random.default_rng(size).choice(size, SAMPLE, replace=False)
    return tf.gather(flat, np.sort(positions), axis=1)
