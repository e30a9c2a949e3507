"""Scores of modified images, with which metrics of faithfulness compare attributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.outputs import Outputs, Probabilities
from xnas_tf.attribution.targets import Targets, checked_targets
from xnas_tf.errors import InputError

LOGITS = Outputs()
PROBABILITIES = Probabilities(output="probabilities")


class Scores:
    """The output for each image's target class, for the image and for modified copies.

    The network is traced once per model, for any number of images and copies.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), float32, in the model's range.
        targets: See ``Targets``; not ``"all"``.
        outputs: Which outputs are the scores.

    Attributes:
        targets: The target class of each image, (N,), int.
        unchanged: The scores of the unmodified images, (N,), float64.

    Raises:
        InputError: If the targets don't fit, or the model's outputs aren't (N, classes).
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        targets: Targets = "predicted",
        outputs: Outputs = LOGITS,
    ) -> None:
        if isinstance(targets, str) and targets != "predicted":
            raise InputError(
                f"targets are {targets!r}; allowed: 'predicted', a class number, or a class "
                "number for each image"
            )
        self._explainer = explainer_of(model, outputs)
        self._batch_size = outputs.batch_size_for(images.shape)
        scores = self._explainer(images) if len(images) else np.zeros((0, 1))
        if isinstance(targets, str):
            self.targets = scores.argmax(axis=1)
        elif len(images):
            self.targets = checked_targets(targets, len(images), scores.shape[1])
        else:
            self.targets = np.zeros(0, int)
        self.unchanged = scores[np.arange(len(images)), self.targets].astype(np.float64)

    def __call__(self, count: int, copies: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Return scores (N, count), float64, of ``count`` modified copies of each image.

        Args:
            count: Copies per image.
            copies: A slice of the images -> their copies, (B, count, H, W[, C]); called for
                one batch of copies at a time, but at least one image.
        """
        scores = np.empty((len(self.targets), count))
        size = max(1, self._batch_size // count)
        for start in range(0, len(scores), size):
            rows = slice(start, start + size)
            points = copies(rows)
            outputs = self._explainer(points.reshape(-1, *points.shape[2:]))
            outputs = outputs.reshape(*points.shape[:2], -1)
            scores[rows] = np.take_along_axis(outputs, self.targets[rows, None, None], 2)[..., 0]
        return scores


def replaced(images: np.ndarray, others: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return copies of images with some pixels replaced by those of other images.

    Args:
        images: (B, H, W[, C]).
        others: The images from which the pixels come, with the same shape.
        masks: True where to replace, (B, k, H, W), or (k, H, W) for all images.

    Returns:
        (B, k, H, W[, C]).
    """
    where = masks[..., None] if images.ndim == 4 else masks
    return np.where(where, others[:, None], images[:, None])


def baselines_of(name: BaselineName, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the baseline of each image as an array; see ``baseline_of``."""
    return baseline_of(name, tf.constant(images), seed).numpy()


def checked_images(images: Any, maps: Any = None) -> np.ndarray:
    """Validate images and maps, and return the images as float32.

    Raises:
        InputError: If the images aren't one array (N, H, W[, C]), or maps aren't (N, H, W).
    """
    several = isinstance(images, (list, tuple, dict))
    if several or np.ndim(images) not in (3, 4):
        given = f"a {type(images).__name__}" if several else f"of the shape {np.shape(images)}"
        raise InputError(
            f"the images are {given}; allowed: one array (N, H, W) or (N, H, W, C); models with "
            "several inputs cannot be measured"
        )
    if maps is not None and np.shape(maps) != np.shape(images)[:3]:
        raise InputError(
            f"the maps have the shape {np.shape(maps)}; allowed for images of the shape "
            f"{np.shape(images)}: {tuple(np.shape(images)[:3])}"
        )
    return np.asarray(images, np.float32)
