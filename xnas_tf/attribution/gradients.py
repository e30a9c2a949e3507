"""Gradients of the score, averaged over points near each image."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tf_explain.core.integrated_gradients import IntegratedGradients

from xnas_tf.attribution.score import TargetScore
from xnas_tf.errors import NotApplicable


def mean_gradient(
    score: TargetScore,
    images: tf.Tensor,
    points: Callable[[tf.Tensor], tf.Tensor],
    count: int,
    batch: int,
) -> tf.Tensor:
    """Mean gradient of the score over ``count`` points an image, (B, H, W[, C]).

    tf-explain 0.3.1 computes the gradients and their mean, through the Python function of
    ``get_integrated_gradients``. The ``tf.function`` around it is left out: it traces again
    for each model and class and keeps what it traced. Instead of one class of a model it
    gets the score of each image's own target as a model with a single class.

    Args:
        score: The score.
        images: The images, (B, H, W[, C]).
        points: Numbers (k,) of points -> those points of each image, (B, k, H, W[, C]).
        count: Number of points.
        batch: Points that go through the network at a time, of all images together.

    Raises:
        NotApplicable: If no gradient reaches the images.
    """
    average = IntegratedGradients.get_integrated_gradients.python_function
    shape = tf.shape(images)

    def some(numbers: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(points(numbers), tf.concat([[-1], shape[1:]], axis=0))
        flat.set_shape((None, *images.shape[1:]))
        weights = tf.tile(inside, shape[:1])
        try:
            return average(flat, lambda p: (weights * score(p))[:, None], 0, len_of(numbers))
        except AttributeError as error:
            if "NoneType" not in str(error):
                raise
            raise NotApplicable("no gradient of the model's output reaches its input") from error

    score.targets  # noqa: B018, traced here: a tensor made inside the loop couldn't leave it
    return sum_over(some, count, batch // shape[0], images) / count


def sum_over(
    some: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    count: int,
    chunk: tf.Tensor,
    like: tf.Tensor,
) -> tf.Tensor:
    """Sum over ``count`` numbers, some at a time, in a loop of the graph.

    Args:
        some: Numbers (k,) and weights (k,), 0 for what is beyond the count -> the k-th part
            of their sum, shaped as ``like``.
        count: How many numbers there are.
        chunk: At most so many at a time, at least one.
        like: A tensor of the result's shape.
    """
    rounds = -(-count // tf.clip_by_value(chunk, 1, count))
    size = -(-count // rounds)

    def step(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = i * size + tf.range(size)
        inside = tf.cast(numbers < count, tf.float32)
        part = some(tf.minimum(numbers, count - 1), inside)
        return i + 1, total + part * tf.cast(size, tf.float32)

    start = [0, tf.zeros_like(like)]
    # Two rounds at a time: 1.1 times as fast on two cores as one, and as many batches held.
    return tf.while_loop(lambda i, _: i < rounds, step, start, parallel_iterations=2)[1]


def over_channels(maps: tf.Tensor) -> tf.Tensor:
    """Sums (B, H, W, C) over the channels; (B, H, W) stays."""
    return tf.reduce_sum(maps, axis=-1) if maps.shape.rank == 4 else maps


def len_of(numbers: tf.Tensor) -> tf.Tensor:
    """Length of a vector whose length is known only when the graph runs."""
    return tf.shape(numbers)[0]
