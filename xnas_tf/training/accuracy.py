"""How often a model is right, told before it is explained: one at chance explains nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.dataset import Split
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.input_range import RANGES, InputRange, scaled
from xnas_tf.keras_tools.inspection import inlined_calls
from xnas_tf.keras_tools.tracing import forgotten_custom_gradients
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import beat
from xnas_tf.utils.intervals import accuracy_interval, better_than_chance

BATCH = 250
"""Images at a time."""
WARNING = "warning: "
"""Begins what the command line prints in red."""


@dataclass(frozen=True)
class Accuracy:
    """How often a model is right about labelled images.

    Attributes:
        correct: Images it is right about.
        images: How many it was shown.
        commonest: How many of these are of the commonest class.
    """

    correct: int
    images: int
    commonest: int

    @classmethod
    def of(cls, predicted: np.ndarray, labels: np.ndarray) -> Accuracy:
        """From predicted and right classes, (N,) each."""
        commonest = int(np.bincount(labels).max()) if len(labels) else 0
        return cls(int((predicted == labels).sum()), len(labels), commonest)

    @property
    def value(self) -> float | None:
        """The share in [0, 1]; None without images."""
        return self.correct / self.images if self.images else None

    @property
    def is_chance(self) -> bool:
        """Whether always answering the commonest class may be as good, at a 95% interval."""
        return self.images > 0 and not better_than_chance(self.correct, self.images, self.commonest)

    @property
    def text(self) -> str:
        """One line."""
        if not self.images:
            return "accuracy unknown: there are no test images"
        low, value, high = accuracy_interval(self.correct, self.images)
        return (
            f"accuracy {value:.2%}: {self.correct:,} of "
            f"{self.images:,} test images (95% interval {low:.1%} to {high:.1%})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "value": self.value,
            "correct": self.correct,
            "images": self.images,
            "interval": accuracy_interval(self.correct, self.images),
            "commonest_class": self.commonest,
            "at_chance": self.is_chance,
        }


def accuracy_of(model: keras.Model, part: Split, input_range: str) -> Accuracy:
    """How often a model is right about all images of a part.

    Args:
        model: A Keras image classifier.
        part: The images, with labels.
        input_range: What the model takes, of ``RANGES``.

    Raises:
        InputError: If the model does not take these images.
    """
    predicted = np.zeros(len(part), np.int64)
    try:
        classes = _classes_of(model, part.images.shape[1:], input_range)
        for begin in range(0, len(part), BATCH):
            rows = slice(begin, begin + BATCH)
            predicted[rows] = classes(tf.constant(part.images[rows])).numpy()
            beat()
    except (ValueError, TypeError, tf.errors.OpError) as error:
        shape = tuple(part.images.shape[1:])
        raise InputError(f"the model takes no images of shape {shape}: {describe(error)}") from (
            error
        )
    return Accuracy.of(predicted, part.labels)


def _classes_of(
    model: keras.Model, shape: tuple[int, ...], input_range: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The model's answers to uint8 images (B, H, W, C), traced."""

    def classes(images: tf.Tensor) -> tf.Tensor:
        outputs = tf.nest.flatten(model(scaled(images, input_range), training=False))[0]
        return tf.argmax(tf.cast(outputs, tf.float32), axis=-1)

    with forgotten_custom_gradients(), inlined_calls(model):
        traced = tf.function(classes, autograph=False)
        return traced.get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8))


def tell_accuracy(
    accuracy: Accuracy,
    input_range: InputRange,
    tell: Callable[[str], None],
    model: keras.Model | None = None,
    part: Split | None = None,
) -> None:
    """Says how often a model is right, and warns at chance, with what may be the cause.

    Args:
        accuracy: The accuracy.
        input_range: What the model was given.
        tell: Is told; the warning begins with ``WARNING``.
        model: Is tried with the other input ranges too, where it is at chance.
        part: The images that it is tried on.
    """
    tell(accuracy.text)
    if not accuracy.is_chance:
        return
    share = accuracy.commonest / accuracy.images
    others = [name for name in RANGES if name != input_range.name]
    tried = ""
    if model is not None and part is not None:
        found = {name: accuracy_of(model, part, name).value for name in others}
        tried = ": " + ", ".join(f"{value:.2%} with {name}" for name, value in found.items())
    tell(
        f"{WARNING}this is no better than always answering the commonest class ({share:.2%}), so "
        "what is shown of this model means little. The likely causes: it takes values other than "
        f"{input_range.name} (--input-range {' or '.join(others)}{tried}), its classes are in "
        "another order than the data set's, or it learned nothing"
    )
