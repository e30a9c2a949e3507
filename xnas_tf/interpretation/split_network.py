"""A network split after its last feature map, so that only the remaining layers run again."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import NotApplicable
from xnas_tf.interpretation.classifier import examine
from xnas_tf.interpretation.feature_taps import Tap, concrete, find_taps, run_tapped
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.inspection import has_feature_map
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.utils.heartbeat import report_progress

BATCH = 256
"""Batch size, which limits memory use."""


def check_splittable(model: keras.Model) -> None:
    """Raise ``NotApplicable`` unless a model has a feature map with several pixels."""
    if not has_feature_map(model):
        raise NotApplicable("the model has no layer with outputs (height, width, channels)")


class SplitNetwork:
    """A classifier whose last feature map can be masked by channel.

    The last feature map is the one used by Grad-CAM: the output of the last layer call with more
    than one pixel. ``sample`` are a few images (N, H, W, C), uint8.

    Raises:
        InputError: If the model does not accept these images, is not a classifier, or has no
            feature map.
    """

    def __init__(self, model: keras.Model, sample: np.ndarray) -> None:
        images = to_model_input(sample)
        self.classes, self._ending = examine(model, images)
        taps = [tap for tap in find_taps(model, images, "*") if tap.shape[:2] != (1, 1)]
        self._model = model
        self._tap: Tap = taps[-1]
        image = tf.TensorSpec((None, *sample.shape[1:]), tf.uint8)
        maps = tf.TensorSpec((None, *self._tap.shape), tf.float32)
        mask = tf.TensorSpec((self.channels,), tf.float32)
        self._first = concrete(model, self._run, image)
        self._rest = concrete(model, self._run, image, maps, mask)

    @property
    def channels(self) -> int:
        """Number of channels of the last feature map."""
        return self._tap.channels

    @property
    def layer(self) -> str:
        """Name of the layer that returns the last feature map."""
        return self._tap.name

    def features(self, images: np.ndarray) -> np.ndarray:
        """Compute the last feature map (N, h, w, channels), float32, for uint8 images."""
        return _in_batches(lambda batch: self._first(batch)[1], self._tap.shape, images)

    def probabilities(
        self, images: np.ndarray, features: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """Predict with the channels of the last feature map multiplied by a mask.

        Only the layers after the last feature map run, unless the output also depends on earlier
        layers in another way.

        Args:
            images: (N, H, W, C), uint8.
            features: The images' last feature map, as returned by ``features``.
            mask: (channels,), 0 for channels to remove.

        Returns:
            Class probabilities, (N, classes), float32.
        """
        factors = tf.constant(mask, tf.float32)
        return _in_batches(
            lambda *batch: self._rest(*batch, factors)[0], (self.classes,), images, features
        )

    def _run(
        self, images: tf.Tensor, features: tf.Tensor | None = None, mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the probabilities and the last feature map, which is replaced if one is given."""

        def edit(_: int, outputs: tf.Tensor) -> tf.Tensor:
            return outputs if features is None else tf.cast(features * mask, outputs.dtype)

        outputs, (maps,) = run_tapped(self._model, [self._tap], to_model_input(images), edit)
        return class_probabilities(outputs, self._ending.activation), maps


def _in_batches(
    function: Callable[..., tf.Tensor], shape: tuple[int, ...], *arrays: np.ndarray
) -> np.ndarray:
    """Apply a function to batches of N rows; return its results, (N, *shape)."""
    batches = [np.zeros((0, *shape), np.float32)]
    for start in range(0, len(arrays[0]), BATCH):
        rows = slice(start, start + BATCH)
        batches.append(function(*(tf.constant(each[rows]) for each in arrays)).numpy())
        report_progress()
    return np.concatenate(batches)
