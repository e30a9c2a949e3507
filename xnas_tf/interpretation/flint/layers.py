"""Layers of the default attribute network."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


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

    Cell i of k covers the rows from ⌊i·n/k⌋ to ⌈(i + 1)·n/k⌉ of n rows. Columns are treated in the
    same way.
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
