"""The metrics that a HyperModel compiled its model with, on the validation part."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.keras_tools.inspection import ends_in_softmax
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.training.custom_fit import plain_figures


def has_metrics(model: keras.Model) -> bool:
    """Whether a model was compiled with metrics."""
    return model.compiled and model._compile_metrics is not None


def compiled_metrics(
    model: keras.Model, probabilities: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Values of a model's own metrics, by the names that Keras gives them.

    They get all images at once, so that metrics which are no means over images are exact too.

    Args:
        model: A model that was compiled with metrics.
        probabilities: Of all images, (N, classes).
        labels: Their class numbers, (N,). Metrics get one-hot vectors where the loss does.
    """
    metrics = model._compile_metrics
    targets = targets_for(model, labels, probabilities.shape[1])
    outputs = probabilities
    if not ends_in_softmax(model):  # logits, but for a constant that no softmax sees
        outputs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    metrics.reset_state()
    metrics.update_state(targets, outputs)
    found = plain_figures(keras.tree.map_structure(np.asarray, dict(metrics.result())))
    metrics.reset_state()
    return found
