"""The class probabilities and logits behind the outputs of a classifier.

A model has either an output for each class (the probabilities of a softmax, or logits) or a single
output for the second of two classes (a sigmoid or its logit).
"""

from __future__ import annotations

import keras
import tensorflow as tf

from xnas_tf.keras_tools.inspection import Ending, is_functional


def has_single_output(model: keras.Model) -> bool:
    """Return whether a functional or sequential model has one output for two classes."""
    return is_functional(model) and model.outputs[0].shape[-1] == 1


def number_of_classes(model: keras.Model) -> int:
    """Return the number of classes of a functional or sequential model."""
    return max(2, int(model.outputs[0].shape[-1]))


def class_probabilities(outputs: tf.Tensor, activation: str | None) -> tf.Tensor:
    """Return class probabilities for the outputs of a model.

    The probabilities of independent sigmoids do not sum to 1.

    Args:
        outputs: (B, classes), or (B, 1) for two classes.
        activation: Function that computed the outputs: ``softmax``, ``sigmoid``, or None for
            logits.

    Returns:
        Probabilities, (B, classes).
    """
    if outputs.shape[1] == 1:
        second = outputs if activation else tf.sigmoid(outputs)
        return tf.concat([1 - second, second], axis=1)
    return outputs if activation else tf.nn.softmax(outputs)


def class_logits(outputs: tf.Tensor, ending: Ending) -> tf.Tensor:
    """Return logits (B, classes): values whose softmax is the class probabilities.

    Args:
        outputs: The outputs of a model that was traced inside ``linear_output(ending)``,
            (B, classes), or (B, 1) for two classes, in which case the logit of the first is 0.
            They are probabilities if the model's softmax or sigmoid cannot be left out.
        ending: The end of the model.
    """
    if not ending.can_be_linear:
        probabilities = class_probabilities(outputs, ending.activation)
        return tf.math.log(tf.clip_by_value(probabilities, 1e-7, 1.0))
    if outputs.shape[1] != 1:
        return outputs
    return tf.concat([tf.zeros_like(outputs), outputs], axis=1)
