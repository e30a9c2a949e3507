"""The loss and the metrics that a model was compiled with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data import Split
from xnas_tf.distributed import Communicator
from xnas_tf.keras_tools.class_outputs import number_of_classes
from xnas_tf.keras_tools.compat import with_logits
from xnas_tf.keras_tools.inspection import all_layers, is_transparent
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.training.predictor import BATCH, ModelOutputs
from xnas_tf.utils.heartbeat import report_progress

_STEPS = ("test_step", "compute_loss", "compute_metrics", "evaluate")
"""Methods that change what ``evaluate`` computes if a subclass overrides them."""
_OURS_OR_KERAS = ("keras.", "xnas_tf.")
"""Packages whose layers add no losses, except for an ``activity_regularizer``."""


def finite_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert metrics to floats; arrays become ``NAME_0``, ``NAME_1`` and so on.

    Values that are not finite are left out, because the database does not accept them. A metric may
    be undefined, such as the precision of a class that is never predicted.
    """
    return {name: value for name, value in as_floats(metrics).items() if math.isfinite(value)}


def as_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Convert metrics as ``finite_metrics`` does, but keep values that are not finite."""
    found = {}
    for name, value in metrics.items():
        numbers = np.asarray(value, np.float64)
        if numbers.size == 1:
            found[name] = float(numbers.reshape(()))
        else:
            found |= {f"{name}_{i}": float(number) for i, number in enumerate(numbers.ravel())}
    return found


def overrides_evaluation(model: keras.Model) -> bool:
    """Return whether a model's class changes how its loss or its metrics are computed."""
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in _STEPS)


def needs_evaluate(model: keras.Model, image_shape: Sequence[int]) -> bool:
    """Return whether only ``evaluate`` can compute a model's loss and metrics.

    The model's outputs suffice unless its class overrides the computation, or layers add losses
    that depend on their activations. Images are of shape (H, W, C).
    """
    if overrides_evaluation(model):
        return True
    layers = [*([] if is_transparent(model) else [model]), *all_layers(model)]
    own = [each for each in layers if not type(each).__module__.startswith(_OURS_OR_KERAS)]
    if not own and all(each.activity_regularizer is None for each in layers):
        return False
    model(np.zeros((1, *image_shape), np.float32), training=False)
    regularized = [v for v in model.trainable_variables if v.regularizer is not None]
    return len(model.losses) > len(regularized)


def can_be_shared(model: keras.Model) -> bool:
    """Return whether ``evaluate`` gives the same values if the ranks share the images.

    This is true if all computations are Keras' own; see ``metrics_of_all_ranks``.
    """
    return not overrides_evaluation(model) and not _names_of_own_metrics(model)


def as_arrays(split: Split, model: keras.Model, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, H, W, C) as float32 in [0, 1], and targets in the form the loss needs."""
    everything = split.take(np.arange(len(split)))
    images = everything.images.astype(np.float32)
    images /= 255
    return images, targets_for(model, everything.labels, classes)


def evaluate(model: keras.Model, split: Split, communicator: Communicator) -> dict[str, float]:
    """Compute the loss and metrics of a compiled model with ``evaluate`` on the ranks' images."""
    images, targets = as_arrays(split, model, number_of_classes(model))
    heartbeat = keras.callbacks.LambdaCallback()
    heartbeat.on_test_batch_end = lambda *_, **__: report_progress()
    options = {"batch_size": BATCH, "verbose": 0, "callbacks": [heartbeat], "return_dict": True}
    logs = model.evaluate(images, targets, **options)
    return metrics_of_all_ranks(model, logs, len(split), communicator)


def evaluate_outputs(
    model: keras.Model, outputs: ModelOutputs, labels: np.ndarray
) -> dict[str, float]:
    """Compute the same values as ``evaluate`` from a model's outputs, in batches of the same size.

    ``needs_evaluate`` must be false for the compiled model. The labels of all images, class numbers
    (N,), are converted to the targets that the model expects.
    """
    targets = targets_for(model, labels, number_of_classes(model))
    model.reset_metrics()
    total, logs = 0.0, {}
    for begin in range(0, len(labels), BATCH):
        rows = slice(begin, begin + BATCH)
        values = tf.constant(outputs.values[rows])
        if outputs.logits is not None:  # from which Keras computes its losses
            values = with_logits(values, outputs.logits[rows])
        batch = tf.constant(targets[rows]), values
        total += len(batch[0]) * float(np.mean(model.compute_loss(None, *batch)))
        logs = model.compute_metrics(None, *batch)
    found = as_floats({**logs, "loss": total / len(labels)})
    model.reset_metrics()
    return found


def metrics_of_all_ranks(
    model: keras.Model, logs: Mapping[str, Any], images: int, communicator: Communicator
) -> dict[str, float]:
    """Combine the loss and metrics of the ranks that share images.

    As in Keras, the values are the results of the model's metrics, unless its last step returned
    values with other names, which are used instead. The variables of Keras' own metrics are sums
    over images or steps, so they are summed over the ranks. Other values are averaged over the
    images, given the values of the last step, ``logs``, and the number of images on each rank.
    """
    own = model.get_metrics_result()
    if logs and set(logs) != set(own):
        return _mean_over_ranks(as_floats(logs), images, communicator)
    if communicator.size == 1:
        return as_floats(own)
    means = _mean_over_ranks(as_floats(own), images, communicator)
    totals = communicator.sum(*map(np.asarray, model.metrics_variables))
    for variable, total in zip(model.metrics_variables, totals, strict=True):
        variable.assign(total)
    others = _names_of_own_metrics(model)
    found = as_floats(model.get_metrics_result())
    # NAME, or NAME_0, NAME_1, … for a metric with several values.
    own_names = {name for name in found if {name, name.rpartition("_")[0]} & others}
    return {name: means[name] if name in own_names else found[name] for name in found}


def _names_of_own_metrics(model: keras.Model) -> set[str]:
    # Those inside the metric that ``compile`` creates, too.
    metrics = (inner for each in model.metrics for inner in getattr(each, "metrics", [each]))
    return {each.name for each in metrics if not type(each).__module__.startswith("keras.")}


def _mean_over_ranks(
    values: dict[str, float], images: int, communicator: Communicator
) -> dict[str, float]:
    weighted = np.array([*(images * value for value in values.values()), images], np.float64)
    *totals, count = communicator.sum(weighted)[0].tolist()
    return dict(zip(values, (total / count for total in totals), strict=True))
