"""Computes class probabilities and logits from a classifier's outputs.

A model has either one output per class (softmax probabilities or logits), or a single output for
the second of two classes (a sigmoid or its logit).
"""

from __future__ import annotations

import keras
import tensorflow as tf

from xnas_tf.keras_tools.inspection import Ending, is_functional


def has_single_output(model: keras.Model) -> bool:
    """Return whether a functional or sequential model has one output for two classes."""
    return is_functional(model) and model.outputs[0].shape[-1] == 1


def number_of_classes(model: keras.Model) -> int:
    """Return a functional or sequential model's number of classes."""
    return max(2, int(model.outputs[0].shape[-1]))


def class_probabilities(outputs: tf.Tensor, activation: str | None) -> tf.Tensor:
    """Return class probabilities (B, classes) for outputs (B, classes), or (B, 1) for two classes.

    The activation that computed the outputs is ``softmax``, ``sigmoid``, or None for logits. The
    probabilities of independent sigmoids do not sum to 1.
    """
    if outputs.shape[1] == 1:
        second = outputs if activation else tf.sigmoid(outputs)
        return tf.concat([1 - second, second], axis=1)
    return outputs if activation else tf.nn.softmax(outputs)


def class_logits(outputs: tf.Tensor, ending: Ending) -> tf.Tensor:
    """Return logits (B, classes): values whose softmax is the class probabilities.

    The outputs (B, classes) are those of a model traced inside ``linear_output(ending)``. They are
    probabilities if its softmax or sigmoid cannot be left out. For two classes, they may also be
    (B, 1); the first class's logit is then 0.
    """
    if not ending.can_be_linear:
        probabilities = class_probabilities(outputs, ending.activation)
        return tf.math.log(tf.clip_by_value(probabilities, 1e-7, 1.0))
    if outputs.shape[1] != 1:
        return outputs
    return tf.concat([tf.zeros_like(outputs), outputs], axis=1)
