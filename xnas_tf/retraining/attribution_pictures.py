"""What networks look at while they learn: pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from xnas_tf.data import Dataset
from xnas_tf.data.dataset import sample_images
from xnas_tf.explanation import explain
from xnas_tf.explanation.drawing import attribution_figure
from xnas_tf.keras_tools.input_range import OURS
from xnas_tf.registry import describe
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import write_images

PICTURES = 10
"""Pictures of a training, about: each takes as long as some seconds of training."""
SHOWN = 8
"""Validation images in a picture."""


class AttributionPictures:
    """Draws attributions of the same images after the first epoch and some of the others.

    Args:
        folder: TensorBoard's folder for the retraining.
        dataset: The images.
        epochs: Of a training, at most.
        tell: Is told of what cannot be drawn.
    """

    def __init__(
        self, folder: Path, dataset: Dataset, epochs: int, tell: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._images = sample_images(dataset.validation, SHOWN)
        self._class_names = dataset.class_names
        self._every = max(1, epochs // PICTURES)
        self._tell = tell
        self._failed: set[str] = set()

    def __call__(self, name: str, model: keras.Model, epoch: int) -> None:
        """Draws what a model looks at after an epoch, if it is that epoch's turn.

        Args:
            name: The training's; its pictures are in a folder ``NAME-attributions``.
            model: The model, as it is by now.
            epoch: From 1.
        """
        if name in self._failed or (epoch > 1 and epoch % self._every):
            return
        try:
            explained = explain(
                model,
                self._images.images,
                labels=self._images.labels,
                class_names=self._class_names,
                input_range=OURS,
            )
        except Exception as error:  # a user's layers may raise anything at all
            self._failed.add(name)
            self._tell(f"{name} is not drawn: {describe(error)}")
            return
        picture = png(attribution_figure(explained, f"{name}, after epoch {epoch}"))
        write_images(self._folder / f"{name}-attributions", "attributions", [picture], first=epoch)
