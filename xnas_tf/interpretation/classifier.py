"""Checks that a Keras model is an image classifier that can be interpreted."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data import Dataset
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import Ending, observed_ending
from xnas_tf.registry import describe


def examine(model: keras.Model, images: tf.Tensor) -> tuple[int, Ending]:
    """Run a model on a few images (B, H, W, C) to find its number of classes and how it ends.

    A single output, either a sigmoid or its logit, represents two classes.

    Raises:
        InputError: If the model does not accept these images, returns non-finite values, or ends in
            several independent sigmoids.
    """
    try:
        outputs = model(images, training=False)
        classes, ending = _classes(outputs), observed_ending(model, images)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        shape = tuple(images.shape[1:])
        message = f"the model does not accept images of shape {shape}: {describe(error)}"
        raise InputError(message) from error
    if not np.isfinite(outputs).all():
        raise InputError("the model returns values that are not finite; it cannot be interpreted")
    if ending.activation == "sigmoid" and outputs.shape[1] > 1:
        raise InputError(
            f"the model's {classes} outputs are independent sigmoids; allowed: a softmax or logits "
            "for each class, or one sigmoid for two classes"
        )
    return classes, ending


def check_dataset(classes: int, data: Dataset) -> None:
    """Raise an ``InputError`` unless a data set has the model's number of classes, and images."""
    if classes != data.classes:
        raise InputError(
            f"data set {data.name} has {data.classes} classes, but the model has {classes}"
        )
    for name, split in data.parts.items():
        if not len(split):
            raise InputError(f"data set {data.name}: its {name} split is empty")


def _classes(outputs: tf.Tensor) -> int:
    if not tf.is_tensor(outputs) or outputs.shape.rank != 2:
        shape = getattr(outputs, "shape", type(outputs).__name__)
        raise InputError(f"the model's output is {shape}; allowed: (images, classes)")
    return max(2, int(outputs.shape[1]))
