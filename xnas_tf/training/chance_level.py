"""The accuracy of a model, reported before it is explained.

Explanations of a model that is no better than chance mean little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.dataset import Split
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.input_range import RANGES, InputRange, scaled
from xnas_tf.keras_tools.inspection import inlined_calls, observed_ending
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import report_progress
from xnas_tf.utils.intervals import accuracy_interval, better_than_chance

BATCH = 250
"""Number of images in a batch."""
WARNING = "warning: "
"""Prefix of lines that the command line prints in red."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a model on labelled images.

    Attributes:
        correct: Number of correct predictions.
        images: Number of images.
        commonest: Number of images that belong to the most frequent class.
    """

    correct: int
    images: int
    commonest: int

    @classmethod
    def of(cls, predicted: np.ndarray, labels: np.ndarray) -> Accuracy:
        """Compute the accuracy of the predicted classes (N,), given the true ones (N,)."""
        commonest = int(np.bincount(labels).max()) if len(labels) else 0
        return cls(int((predicted == labels).sum()), len(labels), commonest)

    @property
    def value(self) -> float | None:
        """The accuracy in [0, 1]; None if there are no images."""
        return self.correct / self.images if self.images else None

    @property
    def is_chance(self) -> bool:
        """Whether it is not significantly higher than when always predicting one class."""
        return self.images > 0 and not better_than_chance(self.correct, self.images, self.commonest)

    @property
    def text(self) -> str:
        """The accuracy with its confidence interval, as one line."""
        interval = accuracy_interval(self.correct, self.images)
        if interval is None:
            return "accuracy unknown: there are no test images"
        low, value, high = interval
        return (
            f"accuracy {value:.2%}: {self.correct:,} of "
            f"{self.images:,} test images (95% interval {low:.1%} to {high:.1%})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all values as JSON values."""
        return {
            "value": self.value,
            "correct": self.correct,
            "images": self.images,
            "interval": accuracy_interval(self.correct, self.images),
            "commonest_class": self.commonest,
            "at_chance": self.is_chance,
        }


def accuracy_of(model: keras.Model, split: Split, input_range: str) -> Accuracy:
    """Compute the accuracy of a model on all images of a split; see ``predicted_classes``."""
    return Accuracy.of(predicted_classes(model, split, input_range), split.labels)


def predicted_classes(model: keras.Model, split: Split, input_range: str) -> np.ndarray:
    """Predict the class of each image of a split, (N,).

    Args:
        model: A Keras image classifier.
        split: Labelled images.
        input_range: Name in ``RANGES`` of the input range that the model takes.

    Raises:
        InputError: If the model does not accept these images.
    """
    predicted = np.zeros(len(split), np.int64)
    try:
        predict = _traced_prediction(model, split.images.shape[1:], input_range)
        for begin in range(0, len(split), BATCH):
            rows = slice(begin, begin + BATCH)
            predicted[rows] = predict(tf.constant(split.images[rows])).numpy()
            report_progress()
    except (ValueError, TypeError, tf.errors.OpError) as error:
        shape = tuple(split.images.shape[1:])
        message = f"the model does not accept images of shape {shape}: {describe(error)}"
        raise InputError(message) from error
    return predicted


def _traced_prediction(
    model: keras.Model, shape: tuple[int, ...], input_range: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a traced function from uint8 images (B, H, W, C) to predicted classes (B,)."""
    example = scaled(np.random.default_rng(0).integers(0, 256, (2, *shape)), input_range)
    activation = observed_ending(model, example).activation

    def predict(images: tf.Tensor) -> tf.Tensor:
        outputs = tf.nest.flatten(model(scaled(images, input_range), training=False))[0]
        return tf.argmax(class_probabilities(tf.cast(outputs, tf.float32), activation), axis=-1)

    with freed_custom_gradients(), inlined_calls(model):
        traced = tf.function(predict, autograph=False)
        return traced.get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8))


def report_accuracy(
    accuracy: Accuracy,
    input_range: InputRange,
    log: Callable[[str], None],
    model: keras.Model | None = None,
    split: Split | None = None,
) -> None:
    """Report a model's accuracy, with a warning and the likely causes if it is at chance level.

    Args:
        accuracy: The accuracy.
        input_range: The range of the pixel values that the model received.
        log: Called with each message; warnings begin with ``WARNING``.
        model: The model; if it is at chance level, it is also tried with other input ranges.
        split: The images on which to try other input ranges.
    """
    log(accuracy.text)
    if not accuracy.is_chance:
        return
    share = accuracy.commonest / accuracy.images
    others = [name for name in RANGES if name != input_range.name]
    tried = ""
    if model is not None and split is not None:
        found = {name: accuracy_of(model, split, name).value for name in others}
        tried = ": " + ", ".join(f"{value:.2%} with {name}" for name, value in found.items())
    log(
        f"{WARNING}this is no better than always predicting the most frequent class ({share:.2%}), "
        "so explanations of this model mean little. Likely causes: it expects values other than "
        f"{input_range.name} (`input_range` {' or '.join(others)}{tried}), its classes are in "
        "a different order from the data set's, or it learned nothing"
    )
