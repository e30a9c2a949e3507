"""Attributions of a model drawn beside their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution import GradCAM, IntegratedGradients
from xnas_tf.data import Part
from xnas_tf.data.preprocessing import to_model_input
from xnas_tf.errors import RunError
from xnas_tf.evaluation.prediction import Predictor


@dataclass(frozen=True)
class Explained:
    """Images with what a model sees in them.

    Attributes:
        part: Images (N, H, W, C), uint8, and their true labels.
        predicted: The predicted classes, (N,).
        maps: Maps (N, H, W) by method; methods that the model's kind rules out are absent.
    """

    part: Part
    predicted: np.ndarray
    maps: dict[str, np.ndarray]


def explain_batch(model: keras.Model, part: Part, steps: int = 16) -> Explained:
    """Computes Grad-CAM, scaled up to the image's size, and integrated gradients.

    Args:
        model: A Keras image classifier.
        part: The images to explain.
        steps: Steps of integrated gradients; more than a search takes, for a finer picture.
    """
    images = to_model_input(part.images)
    maps = {"integrated gradients": IntegratedGradients(model, steps)(images).numpy()}
    try:
        cam = GradCAM(model)(images)[..., None]
        cam = tf.image.resize(cam, part.images.shape[1:3])[..., 0].numpy()
        maps = {"Grad-CAM": cam, **maps}
    except RunError:
        pass  # no feature map, as in a model without convolutions
    return Explained(part, Predictor(model)(part.images).argmax(axis=1), maps)


def attribution_figure(explained: Explained, class_names: Sequence[str], title: str):
    """Draws images in the first row and a method's maps in each row below.

    Grad-CAM lies over its image from dark blue to yellow (cividis, made for colour-blind
    readers). Integrated gradients go from orange (against the class) over white to purple
    (for it), each image scaled to its own largest value.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure

    count, rows = len(explained.part), 1 + len(explained.maps)
    figure = Figure(figsize=(1.15 * count + 1.2, 1.25 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, count, squeeze=False)
    figure.suptitle(title, fontsize=10)
    for column in range(count):
        image = _drawable(explained.part.images[column])
        true, predicted = (
            class_names[int(labels[column])]
            for labels in (explained.part.labels, explained.predicted)
        )
        axes[0, column].imshow(image, cmap="gray", vmin=0, vmax=255)
        heading = true if true == predicted else f"{true}, taken for {predicted}"
        axes[0, column].set_title(
            heading, fontsize=8, color="black" if true == predicted else "#a00"
        )
        for row, (method, maps) in enumerate(explained.maps.items(), start=1):
            _draw_map(axes[row, column], image, maps[column], method)
    for axis, label in zip(axes[:, 0], ["image", *explained.maps], strict=True):
        axis.set_ylabel(label, fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure


def _drawable(image: np.ndarray) -> np.ndarray:
    """An image that can be drawn: colours, or the first of other numbers of channels."""
    return image[..., :3] if image.shape[-1] >= 3 else image[..., 0]


def _draw_map(axis, image: np.ndarray, values: np.ndarray, method: str) -> None:
    top = float(np.abs(values).max()) or 1.0
    if method == "Grad-CAM":
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.imshow(values, cmap="cividis", vmin=0, vmax=top, alpha=0.65)
    else:
        axis.imshow(values, cmap="PuOr", vmin=-top, vmax=top)
