"""Checks a classifier's head and loss, and chooses the loss for a head."""

from __future__ import annotations

from typing import Any

import keras

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.inspection import ending_of, hidden_activation
from xnas_tf.keras_tools.targets import is_loss_of_keras, loss_name, losses_of, takes_logits


def check_head(model: keras.Model, classes: int) -> None:
    """Check that a model's outputs suit single-label classification.

    The outputs may be a softmax or logits, with one value per class. With two classes, a single
    output, either a sigmoid or its logit, is also allowed. Without a sigmoid, the loss shows
    whether the output is a logit.

    Args:
        model: A functional or sequential model, compiled or not.
        classes: Number of classes in the data.

    Raises:
        InputError: If the outputs do not suit single-label classification; the message suggests a
            head.
    """
    shape, activation = tuple(model.output_shape), ending_of(model).activation
    if shape == (None, 1) and classes > 2:
        raise InputError(
            f"the model has one output, which suits two classes, but there are {classes}; "
            f"{_wanted(classes)}"
        )
    if shape != (None, classes) and shape != (None, 1):
        raise InputError(f"the model's output is {shape}; wanted: {(None, classes)}")
    if activation is None and (hidden := hidden_activation(model)):
        raise InputError(f"the model's {hidden} is followed by other layers; {_wanted(classes)}")
    losses = [loss for loss in losses_of(model) if is_loss_of_keras(loss)]
    for loss in losses or [None]:
        problem = (_problem_of_one if shape == (None, 1) else _problem_of_many)(activation, loss)
        if problem:
            raise InputError(f"{problem}; {_wanted(classes)}")


def compile_head(model: keras.Model, optimizer: Any) -> None:
    """Compile a model with the cross-entropy and accuracy that its head requires."""
    activation = ending_of(model).activation
    if has_single_output(model):
        loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
        threshold = 0.5 if activation else 0.0
        accuracy = keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=False)


def _problem_of_one(activation: str | None, loss: Any) -> str:
    """Explain why a single output, possibly with a Keras loss, cannot distinguish two classes."""
    name = loss_name(loss) if loss is not None else ""
    if activation == "softmax":
        return "a softmax of one output is always 1"
    if "categorical" in name.lower():
        return f"the model has one output, but {name} needs one for each class"
    if loss is not None and activation is None and not takes_logits(loss):
        return (
            f"the model's one output is neither a sigmoid nor, with {name}, its logit (no "
            "from_logits=True)"
        )
    return ""


def _problem_of_many(activation: str | None, loss: Any) -> str:
    """Explain why several outputs, possibly with a Keras loss, do not form a classifier."""
    name = loss_name(loss) if loss is not None else ""
    is_binary = name.lower().replace("_", "").startswith("binary")
    if activation == "sigmoid" or (activation is None and is_binary):
        with_loss = f" with {name}" if is_binary else ""
        return (
            f"the model's outputs{with_loss} are independent sigmoids, which may name several "
            "classes of an image or none, but each image has one class"
        )
    if activation is None and "crossentropy" in name.lower() and not takes_logits(loss):
        return f"the model's outputs are logits, but {name} expects probabilities"
    return ""


def _wanted(classes: int) -> str:
    """Describe the allowed heads."""
    text = (
        f"end it with Dense({classes}, activation='softmax'), or logits with a loss of "
        "from_logits=True, and use 'sparse_categorical_crossentropy' or 'categorical_crossentropy'"
    )
    if classes > 2:
        return text
    return f"{text}; or with Dense(1, activation='sigmoid') and 'binary_crossentropy'"
