"""Draws attributions for TensorBoard while networks are being trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from xnas_tf.data import Dataset
from xnas_tf.data.dataset import sample_images
from xnas_tf.explanation import explain
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.registry import describe
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import write_images

PICTURES = 10
"""Approximate number of pictures per training; each one takes a few seconds."""
SHOWN = 8
"""Number of validation images in a picture."""


class AttributionPictures:
    """Draws attributions of the same images after the first epoch and after some later epochs."""

    def __init__(
        self, folder: Path, dataset: Dataset, epochs: int, log: Callable[[str], None]
    ) -> None:
        self._folder = folder
        sample = sample_images(dataset.validation, SHOWN)
        self._images, self._labels = np.asarray(sample.images), sample.labels
        self._class_names = dataset.class_names
        self._every = max(1, epochs // PICTURES)
        self._log = log
        self._failed: set[str] = set()

    def __call__(self, name: str, model: keras.Model, epoch: int) -> None:
        """Draw a model's attributions after an epoch, from 1, into ``NAME-attributions``."""
        if name in self._failed or (epoch > 1 and epoch % self._every):
            return
        try:
            explained = explain(
                model,
                self._images,
                labels=self._labels,
                class_names=self._class_names,
                input_range=DEFAULT_RANGE,
            )
            picture = png(explained.figure(f"{name}, after epoch {epoch}"))
            folder = self._folder / f"{name}-attributions"
            write_images(folder, "attributions", [picture], first=epoch)
        except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
            self._failed.add(name)
            self._log(f"warning: {name} cannot be drawn: {describe(error)}")
