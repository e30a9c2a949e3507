"""Computes a model's predictions, with a traced function if there are many batches."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.compat import logits_behind
from xnas_tf.keras_tools.inspection import Ending, ending_of
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import traced
from xnas_tf.utils.heartbeat import report_progress

BATCH = 125
"""Maximum number of images in a batch."""
BATCH_BYTES = 2**23
"""Maximum size of the images in a batch: 125 colour images of 149x149 pixels."""


class ModelOutputs(NamedTuple):
    """The outputs of a model for N images, float32.

    ``values`` are probabilities or logits, (N, classes), or (N, 1) for a single output for two
    classes; ``logits`` those that Keras attaches to probabilities, if any, of the same shape.
    """

    values: np.ndarray
    logits: np.ndarray | None = None


class Predictor:
    """Computes a model's outputs and class probabilities, always with its current weights.

    Args:
        model: The model, which is called itself, as for explanations and exports.
        images: Number of images per call; if None, many are assumed.
        times: Number of calls.
        ending: How the model ends; if None, it is determined from the model's graph.
    """

    def __init__(
        self,
        model: keras.Model,
        images: int | None = None,
        times: int = 1,
        ending: Ending | None = None,
    ) -> None:
        self._activation = (ending or ending_of(model)).activation

        def predict(images: tf.Tensor) -> list[tf.Tensor]:
            # Cast first, as for a loss, which gets no logits if the outputs have half precision.
            outputs = tf.cast(model(to_model_input(images), training=False), tf.float32)
            logits = logits_behind(outputs)
            return [outputs] if logits is None else [outputs, tf.cast(logits, tf.float32)]

        runs = None if images is None else times * -(-images // BATCH)
        self._predict = traced(predict, runs)

    def outputs(self, images: np.ndarray | DiskImages) -> ModelOutputs:
        """Return the model's outputs for uint8 images (N, H, W, C)."""
        most = min(BATCH, max(1, BATCH_BYTES // int(np.prod(images.shape[1:]))))
        size = min(most, max(1, len(images)))
        found = []
        for begin in range(0, max(len(images), 1), size):
            batch = images[begin : begin + size]  # not all of them may fit into memory
            padded = np.pad(batch, [(0, size - len(batch))] + [(0, 0)] * 3)
            found.append([each.numpy() for each in self._predict(tf.constant(padded))])
            report_progress()
        return ModelOutputs(*(np.concatenate(e)[: len(images)] for e in zip(*found, strict=True)))

    def probabilities(self, outputs: ModelOutputs) -> np.ndarray:
        """Convert outputs to probabilities (N, classes)."""
        return np.asarray(class_probabilities(outputs.values, self._activation))

    def __call__(self, images: np.ndarray | DiskImages) -> np.ndarray:
        """Return probabilities (N, classes), float32, for uint8 images (N, H, W, C)."""
        return self.probabilities(self.outputs(images))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Sum the cross-entropy of probabilities (N, classes), given the true classes (N,)."""
    correct = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(correct, np.finfo(np.float32).tiny)).sum())  # NaN stays NaN
