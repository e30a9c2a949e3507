"""Predictions of a model, with one trace for all batches if there are many."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.keras_tools.inspection import ends_in_softmax
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import traced
from xnas_tf.utils.heartbeat import report_progress

BATCH = 125
"""Maximum number of images in a batch."""
BATCH_BYTES = 2**23
"""Maximum size of the images in a batch: 125 colour images of 149x149 pixels."""


class Predictor:
    """Computes outputs and class probabilities of a model, always with its current weights.

    Args:
        model: The model, whose ``predict_step`` is used.
        images: Number of images per call; many if None.
        times: Number of calls.
    """

    def __init__(self, model: keras.Model, images: int | None = None, times: int = 1) -> None:
        self._has_softmax = ends_in_softmax(model)

        def predict(images: tf.Tensor) -> tf.Tensor:
            return tf.cast(model.predict_step(to_model_input(images)), tf.float32)

        runs = None if images is None else times * -(-images // BATCH)
        self._predict = traced(predict, runs)

    def outputs(self, images: np.ndarray | DiskImages) -> np.ndarray:
        """Return probabilities or logits (N, classes), float32, for uint8 images (N, H, W, C)."""
        most = min(BATCH, max(1, BATCH_BYTES // int(np.prod(images.shape[1:]))))
        size = min(most, max(1, len(images)))
        found = []
        for begin in range(0, max(len(images), 1), size):
            batch = images[begin : begin + size]  # all of them may not fit into memory
            padded = np.pad(batch, [(0, size - len(batch))] + [(0, 0)] * 3)
            found.append(self._predict(tf.constant(padded)).numpy())
            report_progress()
        return np.concatenate(found)[: len(images)]

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probabilities (N, classes) that outputs stand for."""
        return outputs if self._has_softmax else tf.nn.softmax(outputs).numpy()

    def __call__(self, images: np.ndarray | DiskImages) -> np.ndarray:
        """Return probabilities (N, classes), float32, for uint8 images (N, H, W, C)."""
        return self.probabilities(self.outputs(images))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Compute the cross-entropy of predictions, summed over the images.

    Args:
        probabilities: Predicted probabilities, (N, classes).
        labels: True classes, (N,).
    """
    correct = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(correct, np.finfo(np.float32).tiny)).sum())  # NaN stays NaN
