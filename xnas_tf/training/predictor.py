"""Predicting with a model, one trace for all batches if there are many."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import Rows
from xnas_tf.keras_tools.inspection import ends_in_softmax
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import by_batches
from xnas_tf.utils.heartbeat import beat

BATCH = 125
"""Images that pass through the network together, at most."""
BATCH_BYTES = 2**23
"""Bytes of images that do, at most: 125 of 149x149 pixels in colour."""
AT_ONCE = 2
"""Batches that do at the same time, in a loop and with threads for them: 1.3 to 1.9 times as fast
as in turn (benchmarks/calls.py)."""


class Predictor:
    """Class probabilities of a model, always with its present weights.

    Args:
        model: The model.
        images: How many it will be asked for at a time; many if None.
        times: How often.
    """

    def __init__(self, model: keras.Model, images: int | None = None, times: int = 1) -> None:
        already = ends_in_softmax(model)

        def probabilities(images: tf.Tensor) -> tf.Tensor:
            outputs = tf.cast(model(to_model_input(images), training=False), tf.float32)
            return outputs if already else tf.nn.softmax(outputs)

        runs = None if images is None else times * -(-images // BATCH)
        self._probabilities = by_batches(probabilities, tf.float32, runs, AT_ONCE)

    def __call__(self, images: np.ndarray | Rows) -> np.ndarray:
        """Probabilities (N, classes), float32, for uint8 images (N, H, W, C)."""
        most = min(BATCH, max(1, BATCH_BYTES // int(np.prod(images.shape[1:]))))
        size = min(most, max(1, len(images)))
        together = AT_ONCE * size if size > 1 else 1  # no two images that are huge
        parts = []
        for begin in range(0, max(len(images), 1), together):
            some = images[begin : begin + together]  # of what may be larger than memory
            batches = max(1, -(-len(some) // size))
            padded = np.pad(some, [(0, batches * size - len(some))] + [(0, 0)] * 3)
            given = padded.reshape(batches, size, *padded.shape[1:])
            parts.append(np.concatenate(self._probabilities(given).numpy()))
            beat()
        return np.concatenate(parts)[: len(images)]


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Sum over the images of minus the logarithm of the right class's probability."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).sum())  # NaN stays NaN
