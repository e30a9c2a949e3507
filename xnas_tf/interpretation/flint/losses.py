"""The losses of FLINT (arXiv 2010.09345, section 3.2), as means over a batch.

As in the published code, f is a fixed target for output fidelity, so it is not pulled towards g.
Squares and absolute values are averaged over pixels and attributes.
"""

from __future__ import annotations

import tensorflow as tf


def batch_mean(values: tf.Tensor) -> tf.Tensor:
    """Compute the mean over the first axis; return zeros if it is empty, as it can be on a rank."""
    count = tf.cast(tf.shape(values)[0], values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), count)


def entropy(values: tf.Tensor) -> tf.Tensor:
    """Compute the entropy of the softmax over the last axis, in nats."""
    logs = tf.nn.log_softmax(values)
    return -tf.reduce_sum(tf.exp(logs) * logs, axis=-1)


def output_fidelity(predictor: tf.Tensor, interpreter: tf.Tensor) -> tf.Tensor:
    """Compute L_of, the cross-entropy between the outputs of f and g, given logits (B, classes)."""
    targets = tf.stop_gradient(tf.nn.softmax(predictor))
    return batch_mean(tf.nn.softmax_cross_entropy_with_logits(targets, interpreter))


def input_fidelity(images: tf.Tensor, decoded: tf.Tensor, distance: str = "squared") -> tf.Tensor:
    """Compute L_if, the mean squared or absolute error of reconstructions (B, H, W, C)."""
    difference = decoded - images
    errors = tf.square(difference) if distance == "squared" else tf.abs(difference)
    return batch_mean(tf.reduce_mean(errors, axis=(1, 2, 3)))


def conciseness(attributes: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
    """Compute the entropy terms of L_cd: the mean entropy of attributes minus that of their mean.

    The terms are lowest if each image activates few attributes while the whole batch activates all
    of them. ``attributes`` (B, J) may be one rank's part of the batch; ``mean`` (J,) is over the
    whole batch.
    """
    return batch_mean(entropy(attributes)) - entropy(mean)


def sparsity(attributes: tf.Tensor) -> tf.Tensor:
    """Compute the ℓ1 term of L_cd, the mean absolute value of attributes (B, J)."""
    return batch_mean(tf.reduce_mean(tf.abs(attributes), axis=1))
