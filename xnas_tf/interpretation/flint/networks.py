"""An interpreter's default attribute network, decoder and linear classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.interpretation.feature_taps import Tap

CELLS = 3
"""Side of the grid to which feature maps are pooled, as in the paper."""
WIDTH = 64
"""Number of channels of the attribute network's convolutions, as in the paper for MNIST."""
DEEP = 6
"""Minimum number of blocks in a network for its outputs to be read at two depths."""


def default_taps(ends: Sequence[Tap]) -> list[Tap]:
    """Choose the last convolution block's end and, in deep networks, one at 3/4 of the depth.

    The second one follows the paper's choice for ResNet-18.
    """
    return [ends[len(ends) * 3 // 4 - 1], ends[-1]] if len(ends) >= DEEP else [ends[-1]]


def attribute_network(
    shapes: Sequence[tuple[int | None, ...]], attributes: int, seed: int
) -> keras.Model:
    """Build Ψ, which maps one or several feature maps (B, H, W, C) to attributes (B, J).

    Each map passes through a convolution, and the result is pooled to a 3×3 grid unless it is
    already smaller. A linear layer then combines the pooled maps.
    """
    weights = _initializers(seed)
    inputs = [keras.Input(shape) for shape in shapes]
    features = []
    for maps in inputs:
        x = keras.layers.Conv2D(
            WIDTH, 3, padding="same", activation="relu", kernel_initializer=next(weights)
        )(maps)
        sides = maps.shape[1:3]
        if min(sides) > 1:  # Keras 3.15 cannot pool one row to one row
            x = pooled_to_grid(x, [min(CELLS, side) for side in sides])
        features.append(keras.layers.Flatten()(x))
    x = features[0] if len(features) == 1 else keras.layers.Concatenate()(features)
    x = keras.layers.Dense(attributes, kernel_initializer=next(weights))(x)
    given = inputs[0] if len(inputs) == 1 else inputs
    return keras.Model(given, NonNegative()(x), name="attribute_network")


@keras.saving.register_keras_serializable("xnas_tf")
class NonNegative(keras.layers.Layer):
    """The paper's activation: a ReLU with the gradient of a leaky ReLU.

    Attributes are never negative, yet an attribute that no image activates can become active again.
    """

    SLOPE = 0.01

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the positive part."""
        leaky = tf.nn.leaky_relu(inputs, self.SLOPE)
        return leaky + tf.stop_gradient(tf.nn.relu(inputs) - leaky)


def pooled_to_grid(maps: keras.KerasTensor, output_size: Sequence[int]) -> keras.KerasTensor:
    """Average feature maps (B, H, W, C) in the cells of a grid, (B, rows, columns, C)."""
    if hasattr(keras.layers, "AdaptiveAveragePooling2D"):  # since Keras 3.13
        return keras.layers.AdaptiveAveragePooling2D(output_size)(maps)
    return grid_means(maps, output_size)


def grid_means(maps: keras.KerasTensor, output_size: Sequence[int]) -> keras.KerasTensor:
    """Do the same as ``pooled_to_grid`` in any version of Keras.

    Cell i of k covers the rows from ⌊i·n/k⌋ to ⌈(i + 1)·n/k⌉ of n rows; likewise the columns.
    """
    sides = zip(maps.shape[1:3], output_size, strict=True)
    return keras.ops.einsum("bhwc,ih,jw->bijc", maps, *(_cell_weights(*each) for each in sides))


def _cell_weights(side: int, cells: int) -> np.ndarray:
    """Return each row's (or column's) weight in each cell's mean, (cells, side)."""
    weights = np.zeros((cells, side), np.float32)
    for cell in range(cells):
        covered = slice(cell * side // cells, -(-(cell + 1) * side // cells))
        weights[cell, covered] = 1 / (covered.stop - covered.start)
    return weights


def decoder(shape: Sequence[int], attributes: int, seed: int) -> keras.Model:
    """Build d, which maps attributes (B, J) back to images (B, H, W, C) in [0, 1].

    As in the paper, a linear layer is followed by two transposed convolutions with a stride of 2.
    Their output is cropped to the image size.
    """
    weights = _initializers(seed)
    height, width, channels = shape
    small = -(-height // 4), -(-width // 4)
    inputs = keras.Input((attributes,))
    units = small[0] * small[1] * 8
    x = keras.layers.Dense(units, activation="relu", kernel_initializer=next(weights))(inputs)
    x = keras.layers.Reshape((*small, 8))(x)
    for filters, activation in ((16, "relu"), (channels, "sigmoid")):
        x = keras.layers.Conv2DTranspose(
            filters, 3, 2, "same", activation=activation, kernel_initializer=next(weights)
        )(x)
    extra = 4 * small[0] - height, 4 * small[1] - width
    outputs = keras.layers.Cropping2D(((0, extra[0]), (0, extra[1])))(x)
    return keras.Model(inputs, outputs, name="decoder")


def linear(classes: int, seed: int) -> keras.layers.Layer:
    """Build g, which has no bias, so that the attributes fully explain its logits."""
    return keras.layers.Dense(
        classes, use_bias=False, kernel_initializer=next(_initializers(seed)), name="interpreter"
    )


def _initializers(seed: int) -> Iterator[keras.initializers.Initializer]:
    return map(keras.initializers.HeNormal, count(100 * seed))
