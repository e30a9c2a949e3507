"""Occlusion."""

from __future__ import annotations

import math
from typing import ClassVar

import tensorflow as tf
from pydantic import Field

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.gradients import sum_over
from xnas_tf.attribution.score import TargetScore
from xnas_tf.errors import InputError


class Occlusion(AttributionMethod):
    """Occlusion (Zeiler & Fergus 2014, arXiv 1311.2901, section 4.2): how far the score falls
    when a patch is covered by the baseline.

    The fall is shared out over the patch's pixels, and a pixel gets the mean over the patches
    that cover it. With a stride as long as the patch, a linear model's map sums to the
    change from the baseline. tf-explain 0.3.1 covers one image at a time, in grey only.
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "occlusion"
    patch: int | None = Field(None, ge=1, description="side in pixels; an eighth if not given")
    stride: int | None = Field(None, ge=1, description="pixels; half a patch if not given")
    baseline: BaselineName = "zero"
    seed: int = Field(0, ge=0, description="of the noise baseline")

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        height, width = images.shape[1:3]
        side = self.patch or math.ceil(max(height, width) / 8)
        stride = self.stride or max(1, side // 2)
        if stride > side:
            raise InputError(
                f"occlusion.stride is {stride}; allowed: at most the patch's side, {side}, or "
                "pixels between the patches would have no value"
            )
        rows, columns = -(-height // stride), -(-width // stride)
        baseline = baseline_of(self.baseline, images, self.seed)
        whole = score(images)

        def masks(numbers: tf.Tensor) -> tf.Tensor:
            row = _window(numbers // columns * stride, side, height)
            column = _window(numbers % columns * stride, side, width)
            return row[:, :, None] * column[:, None, :]

        def fall(numbers: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
            mask = masks(numbers)
            shaped = mask[None, ..., None] if images.shape.rank == 4 else mask[None]
            points = images[:, None] * (1 - shaped) + baseline[:, None] * shaped
            points = tf.reshape(points, tf.concat([[-1], tf.shape(images)[1:]], axis=0))
            points.set_shape((None, *images.shape[1:]))
            scores = tf.reshape(score(points), (-1, tf.shape(numbers)[0]))
            area = tf.reduce_sum(mask, axis=(1, 2), keepdims=True)
            shares = mask / area * inside[:, None, None]
            falls = tf.einsum("bk,khw->bhw", whole[:, None] - scores, shares)
            return falls / tf.cast(tf.shape(numbers)[0], tf.float32)

        count = rows * columns
        like = images[..., 0] if images.shape.rank == 4 else images
        total = sum_over(fall, count, self.at_a_time(images.shape) // tf.shape(images)[0], like)
        by_row = tf.reduce_sum(_window(tf.range(rows) * stride, side, height), axis=0)
        by_column = tf.reduce_sum(_window(tf.range(columns) * stride, side, width), axis=0)
        return total / (by_row[:, None] * by_column)


def _window(start: tf.Tensor, side: int, size: int) -> tf.Tensor:
    """1 where start <= position < start + side, (k, size)."""
    positions = tf.range(size)[None]
    inside = (positions >= start[:, None]) & (positions < start[:, None] + side)
    return tf.cast(inside, tf.float32)
