"""The form of targets that a compiled model's loss and metrics expect."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def takes_class_numbers(model: keras.Model, classes: int) -> bool:
    """Return whether a model's loss expects class numbers (sparse) rather than one-hot vectors.

    Keras' losses tell by their names. A loss of a user's own is tried on targets of both forms: a
    loss that fails with one of them expects the other, and one that takes both gets one-hot
    vectors, since class numbers would be broadcast.

    Args:
        model: A compiled model. One without a loss, whose ``train_step`` has its own, gets class
            numbers.
        classes: Number of classes.
    """
    losses = keras.tree.flatten(model.loss)
    if not losses or losses[0] is None:
        return True
    name = _name(losses[0])
    if "sparse" in name.lower():
        return True
    if hasattr(keras.losses, name):
        return False
    return _is_accepted(model, classes, one_hot=False) and not _is_accepted(
        model, classes, one_hot=True
    )


def targets_for(model: keras.Model, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return class numbers (N,), or one-hot vectors (N, classes) if the model's loss expects them.

    Args:
        model: A compiled model.
        labels: Class numbers, (N,).
        classes: Number of classes.
    """
    if takes_class_numbers(model, classes):
        return labels
    return np.eye(classes, dtype=np.float32)[labels]


def _name(loss: Any) -> str:
    """Return the name of a loss: a string, a function, a partial of one, or a ``Loss``."""
    loss = getattr(loss, "func", loss)
    return loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)


def _is_accepted(model: keras.Model, classes: int, one_hot: bool) -> bool:
    """Return whether a loss has a finite gradient for targets of one form."""
    loss = keras.losses.get(keras.tree.flatten(model.loss)[0])
    labels = np.arange(2 * classes + 1, dtype=np.int32) % classes  # more than there are classes
    targets = np.eye(classes, dtype=np.float32)[labels] if one_hot else labels
    outputs = np.random.default_rng(0).dirichlet(np.ones(classes), len(labels))

    @tf.function(autograph=False)  # traced: most shapes that do not fit are noticed without a run
    def gradient(outputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = tf.reduce_mean(loss(tf.constant(targets), outputs))
        return tape.gradient(value, outputs)

    try:
        found = gradient(tf.constant(outputs, tf.float32))
    except Exception:  # noqa: BLE001 - a user's loss may raise anything
        return False
    return found is not None and bool(np.isfinite(found).all())
