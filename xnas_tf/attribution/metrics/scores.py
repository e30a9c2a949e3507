"""Computes scores of modified images, which faithfulness metrics compare with attributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.outputs import Outputs
from xnas_tf.attribution.targets import Targets, checked_targets
from xnas_tf.errors import InputError


class Scores:
    """Computes the target class's output for each image and for modified copies of it.

    The network is traced once per model, for any number of images and copies. ``outputs`` specifies
    which outputs are the scores, and the shape of ``maps`` is validated.

    Attributes:
        images: The images as float32, (N, H, W[, C]).
        targets: The target class of each image, (N,), int.
        unchanged: The scores of the unmodified images, (N,), float64.

    Raises:
        InputError: If images, maps or targets don't match, or the model's outputs don't have the
            shape (N, classes).
    """

    def __init__(
        self,
        model: keras.Model,
        images: Any,
        targets: Targets,
        outputs: Outputs,
        maps: np.ndarray | None = None,
    ) -> None:
        self.images = _checked_images(images, maps)
        if isinstance(targets, str) and targets != "predicted":
            raise InputError(
                f"targets are {targets!r}; allowed: 'predicted', a class number, or a class "
                "number for each image"
            )
        self._explainer = explainer_of(model, outputs)
        self._batch_size = outputs.batch_size_for(self.images.shape)
        count = len(self.images)
        scores = self._explainer(self.images) if count else np.zeros((0, 1))
        if isinstance(targets, str) or not count:
            self.targets = scores.argmax(axis=1)
        else:
            self.targets = checked_targets(targets, count, scores.shape[1])
        self.unchanged = scores[np.arange(count), self.targets].astype(np.float64)

    def __call__(self, count: int, copies: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Return the scores (N, count), float64, of ``count`` modified copies of each image.

        ``copies`` takes a slice of the images and returns copies of them, (B, count, H, W[, C]).
        ``copies`` is called for one batch of copies at a time, with at least one image.
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

    def baselines(self, name: BaselineName, seed: int = 0) -> np.ndarray:
        """Return the baseline of each image; see ``baseline_of``."""
        return baseline_of(name, tf.constant(self.images), seed).numpy()


def replaced(images: np.ndarray, others: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return copies (B, k, H, W[, C]) of images with some pixels replaced.

    Masks are (B, k, H, W), or (k, H, W) for all images. A mask is True where pixels of ``others``
    replace those of the image.
    """
    where = masks[..., None] if images.ndim == 4 else masks
    return np.where(where, others[:, None], images[:, None])


def _checked_images(images: Any, maps: np.ndarray | None) -> np.ndarray:
    """Validate images (N, H, W[, C]) and maps (N, H, W), and return the images as float32."""
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
