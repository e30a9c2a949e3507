"""Gradients of the score, averaged over points near each image."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tf_explain.core.integrated_gradients import IntegratedGradients

from xnas_tf.attribution.score import TargetScore
from xnas_tf.errors import NotApplicable
from xnas_tf.keras_tools.compat import untraced


def mean_gradient(
    score: TargetScore,
    images: tf.Tensor,
    points: Callable[[tf.Tensor], tf.Tensor],
    count: int,
    batch: int,
) -> tf.Tensor:
    """Compute the mean gradient of the score, (B, H, W[, C]), over ``count`` points per image.

    ``points`` takes indices (k,) and returns the points with these indices for each image, (B, k,
    H, W[, C]). The network processes ``batch`` points at a time, counted over all images.

    tf-explain 0.3.1 averages the gradients, in the Python function inside its
    ``get_integrated_gradients``. The ``tf.function`` around it is traced again for each model and
    class, and keeps every trace. Instead of a model, it gets a function that scores the targets.
    """
    average = untraced(IntegratedGradients.get_integrated_gradients)
    shape = tf.shape(images)

    def chunk_mean(indices: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(points(indices), tf.concat([[-1], shape[1:]], axis=0))
        flat.set_shape((None, *images.shape[1:]))
        weights = tf.tile(valid, shape[:1])
        try:
            return average(flat, lambda p: (weights * score(p))[:, None], 0, tf.shape(indices)[0])
        except AttributeError as error:
            if "NoneType" not in str(error):
                raise
            raise NotApplicable("no gradient of the model's output reaches its input") from error

    score.targets  # noqa: B018, traced here because a tensor cannot leave the loop
    return sum_in_chunks(chunk_mean, count, batch // shape[0], images) / count


def sum_in_chunks(
    chunk_mean: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    count: int,
    chunk: tf.Tensor,
    like: tf.Tensor,
) -> tf.Tensor:
    """Sum a function over ``count`` indices, at most ``chunk`` at a time, in a graph loop.

    ``chunk_mean`` takes indices (k,) and weights (k,), which are 0 for padding. It returns the
    weighted sum of the function's values divided by k, with the shape of ``like``.
    """
    rounds = -(-count // tf.clip_by_value(chunk, 1, count))
    size = -(-count // rounds)

    def step(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        indices = i * size + tf.range(size)
        valid = tf.cast(indices < count, tf.float32)
        mean = chunk_mean(tf.minimum(indices, count - 1), valid)
        return i + 1, total + mean * tf.cast(size, tf.float32)

    start = [0, tf.zeros_like(like)]
    # Two parallel iterations are 1.1 times as fast on two cores, but keep two batches in memory.
    return tf.while_loop(lambda i, _: i < rounds, step, start, parallel_iterations=2)[1]


def sum_over_channels(maps: tf.Tensor) -> tf.Tensor:
    """Sum (B, H, W, C) over the channels; return (B, H, W) unchanged."""
    return tf.reduce_sum(maps, axis=-1) if maps.shape.rank == 4 else maps
