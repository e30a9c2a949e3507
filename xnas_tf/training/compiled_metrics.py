"""The metrics that a HyperModel compiled its model with, on the validation split."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.keras_tools.compat import metrics_in_compile
from xnas_tf.keras_tools.inspection import ends_in_softmax
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.training.custom_fit import finite_metrics


def has_metrics(model: keras.Model) -> bool:
    """Return whether a model was compiled with metrics."""
    return model.compiled and metrics_in_compile(model) is not None


def compiled_metrics(
    model: keras.Model, probabilities: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Compute a model's own metrics.

    They get all images at once, so metrics that are not means over images are exact too.

    Args:
        model: A model that was compiled with metrics.
        probabilities: Predictions for all images, (N, classes).
        labels: Their class numbers, (N,). Metrics get one-hot vectors if the loss does.

    Returns:
        The values by the names that Keras gives them.
    """
    metrics = metrics_in_compile(model)
    assert metrics is not None  # see has_metrics
    targets = targets_for(model, labels, probabilities.shape[1])
    outputs = probabilities
    if not ends_in_softmax(model):  # logits, up to a constant that a softmax ignores
        outputs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    metrics.reset_state()
    metrics.update_state(targets, outputs)
    found = finite_metrics(keras.tree.map_structure(np.asarray, dict(metrics.result())))
    metrics.reset_state()
    return found
