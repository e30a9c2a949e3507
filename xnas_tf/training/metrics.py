"""The loss and the metrics that a model was compiled with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Split
from xnas_tf.keras_tools.compat import metrics_in_compile
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.training.predictor import BATCH

_STEPS = ("test_step", "compute_loss", "compute_metrics", "evaluate")
"""Methods with which a class of its own changes what ``evaluate`` computes."""
_KNOWN = ("keras.", "xnas_tf.")
"""Packages whose layers add no losses, except for an ``activity_regularizer``."""


def finite_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert metrics to floats; one of several numbers becomes ``NAME_0``, ``NAME_1`` and so on.

    Values that are not finite are left out: the database takes none, and a metric may have no
    value yet, such as the precision of a class that is never predicted.
    """
    return {name: value for name, value in as_floats(metrics).items() if math.isfinite(value)}


def as_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Do the same as ``finite_metrics``, but with values that are not finite."""
    found = {}
    for name, value in metrics.items():
        numbers = np.asarray(value, np.float64)
        if numbers.size == 1:
            found[name] = float(numbers.reshape(()))
        else:
            found |= {f"{name}_{i}": float(number) for i, number in enumerate(numbers.ravel())}
    return found


def build_metrics(model: keras.Model, classes: int) -> None:
    """Let Keras create the variables of a compiled model's metrics, which it does at first use."""
    metrics = metrics_in_compile(model)
    if metrics is not None:
        labels = np.arange(classes, dtype=np.int32)
        targets = targets_for(model, labels, classes)
        metrics.update_state(targets, np.eye(classes, dtype=np.float32))
        metrics.reset_state()


def needs_evaluate(model: keras.Model) -> bool:
    """Return whether only ``evaluate`` can compute a model's loss and metrics.

    If not, its outputs suffice. They do not if its class overrides the computation, or if layers
    may add losses of their activations.
    """
    if any(getattr(type(model), name) is not getattr(keras.Model, name) for name in _STEPS):
        return True
    return any(
        layer.activity_regularizer is not None or not type(layer).__module__.startswith(_KNOWN)
        for layer in all_layers(model)
    )


def evaluate(model: keras.Model, split: Split, classes: int) -> dict[str, float]:
    """Return what Keras' ``evaluate`` does: loss and metrics of a compiled model on a split."""
    images = split.take(np.arange(len(split))).images.astype(np.float32) / 255
    targets = targets_for(model, split.labels, classes)
    found = model.evaluate(images, targets, batch_size=BATCH, verbose=0, return_dict=True)
    return as_floats(found)


def evaluate_outputs(
    model: keras.Model, outputs: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Compute the same as ``evaluate`` from a model's outputs.

    Args:
        model: A compiled model for which ``needs_evaluate`` is false.
        outputs: Its outputs for all images, (N, classes).
        labels: Their class numbers, (N,). Losses and metrics get the targets that they expect.

    Returns:
        The values by the names that Keras gives them.
    """
    targets = targets_for(model, labels, outputs.shape[1])
    model.reset_metrics()
    loss = model.compute_loss(None, targets, keras.ops.convert_to_tensor(outputs))
    found = model.compute_metrics(None, targets, outputs)
    model.reset_metrics()
    return as_floats({**found, "loss": loss})
