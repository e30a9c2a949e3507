"""Layers of the default attribute network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


@keras.saving.register_keras_serializable("xnas_tf")
class AveragePoolingToGrid(keras.layers.Layer):
    """Equivalent to ``keras.layers.AdaptiveAveragePooling2D``, which was added in Keras 3.13.

    Cell i of k covers the rows from ⌊i·n/k⌋ to ⌈(i + 1)·n/k⌉ of n rows. Columns are treated in the
    same way.

    Args:
        output_size: Number of rows and columns in the grid.
    """

    def __init__(self, output_size: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = tuple(output_size)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pool (B, H, W, C) to (B, rows, columns, C)."""
        rows, columns = (
            tf.constant(_cell_weights(side, cells), inputs.dtype)
            for side, cells in zip(inputs.shape[1:3], self.output_size, strict=True)
        )
        return tf.einsum("bhwc,ih,jw->bijc", inputs, rows, columns)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the output shape of ``call``."""
        return (input_shape[0], *self.output_size, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "output_size": self.output_size}


def average_pooling_to(output_size: Sequence[int]) -> keras.layers.Layer:
    """Return Keras' layer if this version has it, otherwise ``AveragePoolingToGrid``."""
    layer = getattr(keras.layers, "AdaptiveAveragePooling2D", AveragePoolingToGrid)
    return layer(output_size)


def _cell_weights(side: int, cells: int) -> np.ndarray:
    """Return each row's (or column's) weight in each cell's mean, (cells, side)."""
    weights = np.zeros((cells, side))
    for cell in range(cells):
        covered = slice(cell * side // cells, -(-(cell + 1) * side // cells))
        weights[cell, covered] = 1 / (covered.stop - covered.start)
    return weights
