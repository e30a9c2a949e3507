"""The losses of FLINT (arXiv 2010.09345, section 3.2), as means over a batch.

As in the published code: f is a fixed target of output fidelity, so that it cannot become
vague to please g, and squares and absolute values are means over pixels and attributes.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Mean = Callable[[tf.Tensor], tf.Tensor]


def batch_mean(values: tf.Tensor) -> tf.Tensor:
    """The mean over the first axis; zeros where it is empty, as on one of many ranks."""
    count = tf.cast(tf.shape(values)[0], values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), count)


def entropy(values: tf.Tensor) -> tf.Tensor:
    """The entropy of the softmax over the last axis, in nats."""
    logs = tf.nn.log_softmax(values)
    return -tf.reduce_sum(tf.exp(logs) * logs, axis=-1)


def output_fidelity(predictor: tf.Tensor, interpreter: tf.Tensor) -> tf.Tensor:
    """L_of: cross-entropy of g's answers under f's.

    Args:
        predictor: Logits of f, (B, classes); no gradient reaches them.
        interpreter: Logits of g, (B, classes).
    """
    wanted = tf.stop_gradient(tf.nn.softmax(predictor))
    return batch_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, interpreter))


def input_fidelity(images: tf.Tensor, decoded: tf.Tensor, distance: str = "squared") -> tf.Tensor:
    """L_if: mean squared or absolute difference of reconstructions from images (B, H, W, C)."""
    difference = decoded - images
    each = tf.square(difference) if distance == "squared" else tf.abs(difference)
    return batch_mean(tf.reduce_mean(each, axis=(1, 2, 3)))


def conciseness(attributes: tf.Tensor, mean: Mean = batch_mean) -> tf.Tensor:
    """The entropies of L_cd: low for one image's attributes, high for the batch's mean.

    Args:
        attributes: (B, J), non-negative.
        mean: Of attributes over the whole batch, of which this may be one rank's share.

    Returns:
        Mean entropy of an image's attributes minus the entropy of the mean attributes.
    """
    return batch_mean(entropy(attributes)) - entropy(mean(attributes))


def sparsity(attributes: tf.Tensor) -> tf.Tensor:
    """The ℓ1 term of L_cd: mean absolute value of attributes (B, J)."""
    return batch_mean(tf.reduce_mean(tf.abs(attributes), axis=1))
