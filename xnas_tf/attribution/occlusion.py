"""Occlusion."""

from __future__ import annotations

import math
from typing import ClassVar

import tensorflow as tf
from pydantic import Field

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.gradients import sum_in_chunks
from xnas_tf.attribution.score import TargetScore
from xnas_tf.errors import InputError


class Occlusion(AttributionMethod):
    """Occlusion (Zeiler & Fergus 2014, arXiv 1311.2901, section 4.2).

    The decrease in the score when the baseline covers a patch is divided equally among the
    patch's pixels. A pixel's value is the mean over the patches that cover it. If the stride equals
    the patch's side, the map of a linear model sums to the change in the score from the baseline.
    (tf-explain 0.3.1 covers patches only with grey.)
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "occlusion"
    patch: int | None = Field(
        None, ge=1, description="patch side in pixels; by default 1/8 of the image's larger side"
    )
    stride: int | None = Field(None, ge=1, description="step in pixels; by default half a patch")
    baseline: BaselineName = "zero"
    seed: int = Field(0, ge=0, description="seed of the noise baseline")

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        height, width = images.shape[1:3]
        side = self.patch or math.ceil(max(height, width) / 8)
        stride = self.stride or max(1, side // 2)
        if stride > side:
            raise InputError(
                f"occlusion.stride is {stride}; allowed: at most the patch's side, {side}, "
                "because pixels between patches would have no value"
            )
        rows, columns = -(-height // stride), -(-width // stride)
        baseline = baseline_of(self.baseline, images, self.seed)
        unchanged = score(images)

        def mean_decrease(indices: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
            row = _window(indices // columns * stride, side, height)
            column = _window(indices % columns * stride, side, width)
            mask = row[:, :, None] * column[:, None, :]
            shaped = mask[None, ..., None] if images.shape.rank == 4 else mask[None]
            points = images[:, None] * (1 - shaped) + baseline[:, None] * shaped
            points = tf.reshape(points, tf.concat([[-1], tf.shape(images)[1:]], axis=0))
            points.set_shape((None, *images.shape[1:]))
            scores = tf.reshape(score(points), (-1, tf.shape(indices)[0]))
            area = tf.reduce_sum(mask, axis=(1, 2), keepdims=True)
            weights = mask / area * valid[:, None, None]
            decreases = tf.einsum("bk,khw->bhw", unchanged[:, None] - scores, weights)
            return decreases / tf.cast(tf.shape(indices)[0], tf.float32)

        like = images[..., 0] if images.shape.rank == 4 else images
        chunk = self.batch_size_for(images.shape) // tf.shape(images)[0]
        total = sum_in_chunks(mean_decrease, rows * columns, chunk, like)
        by_row = tf.reduce_sum(_window(tf.range(rows) * stride, side, height), axis=0)
        by_column = tf.reduce_sum(_window(tf.range(columns) * stride, side, width), axis=0)
        return total / (by_row[:, None] * by_column)


def _window(start: tf.Tensor, side: int, size: int) -> tf.Tensor:
    """Return 1 where start <= position < start + side and 0 elsewhere, (k, size)."""
    positions = tf.range(size)[None]
    inside = (positions >= start[:, None]) & (positions < start[:, None] + side)
    return tf.cast(inside, tf.float32)
