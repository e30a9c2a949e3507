"""The form of targets expected by a compiled model's loss and metrics."""

from __future__ import annotations

import functools
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.compat import metrics_in_compile
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
    """Compute the loss once, because only then does Keras look up the names of losses and outputs.

    Raises:
        Exception: Any exception that Keras or a user's loss raises.
    """
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
