"""Scores of changed images: what measures of faithfulness compare attributions with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.outputs import Outputs, Probabilities
from xnas_tf.attribution.targets import Targets, checked_targets
from xnas_tf.errors import InputError

Output = Literal["logits", "probabilities"]
"""Which score is meant; see ``AttributionMethod.output``."""
LOGITS = Outputs()
PROBABILITIES = Probabilities(output="probabilities")


class Scores:
    """The output for each image's target class, of the image and of changed copies.

    The network is traced once a model, however many images and copies there are.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), float32, in the model's range.
        targets: See ``Targets``, without ``"all"``.
        outputs: Which outputs.

    Attributes:
        targets: The target class of each image, (N,), int.
        unchanged: The scores of the images as they are, (N,), float64.

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
        self._at_a_time = outputs.at_a_time(images.shape)
        found = self._explainer(images) if len(images) else np.zeros((0, 1))
        if isinstance(targets, str):
            self.targets = found.argmax(axis=1)
        else:
            self.targets = (
                checked_targets(targets, *found.shape) if len(images) else np.zeros(0, int)
            )
        self.unchanged = found[np.arange(len(images)), self.targets].astype(np.float64)

    def __call__(self, count: int, copies: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Scores (N, count), float64, of ``count`` changed copies of each image.

        Args:
            count: Number of copies of an image.
            copies: A slice of the images -> their copies, (B, count, H, W[, C]); called for
                as many images at a time as fill a batch, at least one.
        """
        found = np.empty((len(self.targets), count))
        size = max(1, self._at_a_time // count)
        for start in range(0, len(found), size):
            rows = slice(start, start + size)
            points = copies(rows)
            outputs = self._explainer(points.reshape(-1, *points.shape[2:]))
            outputs = outputs.reshape(*points.shape[:2], -1)
            found[rows] = np.take_along_axis(outputs, self.targets[rows, None, None], 2)[..., 0]
        return found


def replaced(images: np.ndarray, others: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Copies of images with some pixels taken from other images.

    Args:
        images: (B, H, W[, C]).
        others: What is put in, shaped as the images.
        masks: Where, boolean, (B, k, H, W), or (k, H, W) for all images.

    Returns:
        (B, k, H, W[, C]).
    """
    where = masks[..., None] if images.ndim == 4 else masks
    return np.where(where, others[:, None], images[:, None])


def baselines_of(name: BaselineName, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """The baseline of each image, as an array; see ``attribution.baselines``."""
    return baseline_of(name, tf.constant(images), seed).numpy()


def checked_images(images: Any, maps: Any = None) -> np.ndarray:
    """The images as float32.

    Raises:
        InputError: If they aren't one array (N, H, W[, C]), or maps aren't (N, H, W).
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
