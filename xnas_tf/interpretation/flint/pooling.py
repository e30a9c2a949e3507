"""Average pooling to a grid of a given size, which Keras has from 3.13 on (Python 3.11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("xnas_tf")
class AveragePoolingToGrid(keras.layers.Layer):
    """As ``keras.layers.AdaptiveAveragePooling2D``: cell i of k covers the rows from ⌊i·n/k⌋ to
    ⌈(i + 1)·n/k⌉ of n, and columns likewise.

    Args:
        output_size: Rows and columns of the grid.
    """

    def __init__(self, output_size: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = tuple(output_size)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(B, H, W, C) to (B, rows, columns, C)."""
        rows, columns = (
            tf.constant(_shares(side, cells), inputs.dtype)
            for side, cells in zip(inputs.shape[1:3], self.output_size, strict=True)
        )
        return tf.einsum("bhwc,ih,jw->bijc", inputs, rows, columns)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """See ``call``."""
        return (input_shape[0], *self.output_size, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from."""
        return {**super().get_config(), "output_size": self.output_size}


def average_pooling_to(output_size: Sequence[int]) -> keras.layers.Layer:
    """Keras' layer where it has one."""
    layer = getattr(keras.layers, "AdaptiveAveragePooling2D", AveragePoolingToGrid)
    return layer(output_size)


def _shares(side: int, cells: int) -> np.ndarray:
    """How much each of so many rows counts in each cell, (cells, side)."""
    shares = np.zeros((cells, side))
    for cell in range(cells):
        covered = slice(cell * side // cells, -(-(cell + 1) * side // cells))
        shares[cell, covered] = 1 / (covered.stop - covered.start)
    return shares
