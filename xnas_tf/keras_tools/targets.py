"""A classifier's head, loss and metrics: checks, choices, and the form of targets they expect."""

from __future__ import annotations

import functools
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.compat import metrics_in_compile
from xnas_tf.keras_tools.inspection import ending_of, hidden_activation
from xnas_tf.registry import describe

Form = Literal["numbers", "vectors", "column"]
"""Class numbers (N,), one-hot vectors (N, classes), or 0 and 1 as a column (N, 1), float32."""
_FORM_NAMES = {"numbers": "class numbers", "vectors": "one-hot vectors", "column": "0 and 1"}


def target_form(model: keras.Model, classes: int) -> Form:
    """Return the form of targets that a compiled model's loss expects.

    A model with a single output gets its targets as a column. For other models, the names of their
    Keras losses determine the form. A custom loss is tried with class numbers and with one-hot
    vectors. If both work, it gets one-hot vectors, because class numbers would be broadcast. A
    model whose ``train_step`` computes its own loss gets class numbers.
    """
    if has_single_output(model):
        return "column"
    losses = losses_of(model)
    if not losses:
        return "numbers"
    name = loss_name(losses[0])
    if "sparse" in name.lower():
        return "numbers"
    if is_loss_of_keras(losses[0]):
        return "vectors"
    takes_numbers = _is_accepted(model, classes, "numbers")
    takes_only_numbers = takes_numbers and not _is_accepted(model, classes, "vectors")
    return "numbers" if takes_only_numbers else "vectors"


def as_targets(labels: Any, form: Form, classes: int) -> Any:
    """Convert class numbers (N,), an array or tensor, to targets of the given form."""
    if form == "vectors":
        return tf.one_hot(labels, classes)
    return tf.cast(labels, tf.float32)[:, None] if form == "column" else labels


def targets_for(model: keras.Model, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return class numbers (N,) as targets in the form that a compiled model's loss expects."""
    return np.asarray(as_targets(labels, target_form(model, classes), classes))


def build_metrics(model: keras.Model, classes: int) -> dict[str, Any]:
    """Let Keras create the variables of a compiled model's metrics, as it does on first use.

    Returns:
        The metrics' values for a few examples, by name; some metrics have several values.

    Raises:
        InputError: If a metric does not accept the form of targets that the loss expects.
    """
    metrics = metrics_in_compile(model) if model.compiled else None
    if metrics is None:
        return {}
    labels = _example_labels(classes)
    outputs: Form = "column" if has_single_output(model) else "vectors"
    form = target_form(model, classes)
    try:
        metrics.update_state(
            np.asarray(as_targets(labels, form, classes)),
            np.asarray(as_targets(labels, outputs, classes)),
        )
    except Exception as error:  # Keras and a user's metrics may raise anything
        raise InputError(
            f"its metrics cannot be computed from {_FORM_NAMES[form]}, which its loss expects: "
            f"{describe(error)}"
        ) from error
    values = dict(metrics.result())
    metrics.reset_state()
    return values


def check_loss(model: keras.Model, classes: int) -> None:
    """Compute the loss once, as only then does Keras look up the names of losses and outputs."""
    labels = _example_labels(classes)
    outputs = as_targets(labels, "column" if has_single_output(model) else "vectors", classes)
    model.compute_loss(None, targets_for(model, labels, classes), outputs)


def losses_of(model: keras.Model) -> list[Any]:
    """Return the losses given to a model's ``compile``: functions, partials and ``Loss`` objects.

    A string that is not the name of a Keras loss is kept, because Keras reports it when the model
    is trained.
    """
    given = model.loss if model.compiled else None
    return [_resolved(loss) for loss in keras.tree.flatten(given) if loss is not None]


def loss_name(loss: Any) -> str:
    """Return the name of a loss: its function's name (also for a partial) or its class's name."""
    loss = getattr(loss, "func", loss)
    return getattr(loss, "__name__", type(loss).__name__)


def is_loss_of_keras(loss: Any) -> bool:
    """Return whether a loss is a Keras loss, or a partial of one."""
    loss = getattr(loss, "func", loss)
    owner = loss if hasattr(loss, "__name__") else type(loss)
    return owner.__module__.startswith("keras.")


def takes_logits(loss: Any) -> bool:
    """Return whether one of Keras' losses expects logits, that is, has ``from_logits=True``."""
    given = loss.keywords if isinstance(loss, functools.partial) else vars(loss)
    return bool(given.get("from_logits", False))


def _example_labels(classes: int) -> np.ndarray:
    """Return more labels than classes, so that one-hot vectors do not form a square matrix."""
    return np.arange(2 * classes + 1, dtype=np.int32) % classes


def _resolved(loss: Any) -> Any:
    try:
        return keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError:
        return loss


def _is_accepted(model: keras.Model, classes: int, form: Form) -> bool:
    """Return whether a loss has a finite gradient for targets of a given form."""
    loss = losses_of(model)[0]
    labels = _example_labels(classes)
    targets = as_targets(labels, form, classes)
    outputs = np.random.default_rng(0).dirichlet(np.ones(classes), len(labels))

    @tf.function(autograph=False)  # traced, as this detects most mismatched shapes without a run
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


def check_head(model: keras.Model, classes: int) -> None:
    """Check that the outputs of a functional or sequential model suit single-label classification.

    The outputs may be a softmax or logits, with one value per class. With two classes, a single
    output, either a sigmoid or its logit, is also allowed. Without a sigmoid, the loss shows
    whether the output is a logit. An ``InputError`` suggests another head.
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
