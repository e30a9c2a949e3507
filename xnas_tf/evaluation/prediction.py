"""Predicting with a model, one trace for all batches if there are many."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.models import ends_in_softmax
from xnas_tf.data.preprocessing import to_model_input
from xnas_tf.data.rows import Rows
from xnas_tf.heartbeat import beat
from xnas_tf.tracing import traced_if_often

BATCH = 250
"""Images at a time, at most."""
BATCH_BYTES = 2**24
"""Bytes of images at a time, at most: 250 of 149x149 pixels in colour."""


class Predictor:
    """Class probabilities of a model, always with its present weights.

    Args:
        model: The model.
        images: How many it will be asked for, in all; many if None.
    """

    def __init__(self, model: keras.Model, images: int | None = None) -> None:
        already = ends_in_softmax(model)

        def probabilities(images: tf.Tensor) -> tf.Tensor:
            outputs = model(to_model_input(images), training=False)
            return outputs if already else tf.nn.softmax(outputs)

        runs = None if images is None else -(-images // BATCH)
        self._probabilities = traced_if_often(probabilities, runs)

    def __call__(self, images: np.ndarray | Rows) -> np.ndarray:
        """Probabilities (N, classes), float32, for uint8 images (N, H, W, C)."""
        most = min(BATCH, max(1, BATCH_BYTES // int(np.prod(images.shape[1:]))))
        size = min(most, max(1, len(images)))
        parts = []
        for begin in range(0, max(len(images), 1), size):
            batch = images[begin : begin + size]  # of what may be larger than memory
            padded = np.pad(batch, [(0, size - len(batch))] + [(0, 0)] * 3)
            parts.append(self._probabilities(tf.constant(padded)).numpy())
            beat()
        return np.concatenate(parts)[: len(images)]


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Sum over the images of minus the logarithm of the right class's probability."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).sum())  # NaN stays NaN
