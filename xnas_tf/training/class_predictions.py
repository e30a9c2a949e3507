"""Predicts the classes of images with any Keras classifier, in one or several input ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.dataset import Split
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.input_range import scaled
from xnas_tf.keras_tools.inspection import inlined_calls, observed_ending
from xnas_tf.keras_tools.range_names import CHANNEL_CAUSE
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import report_progress
from xnas_tf.utils.intervals import better_than_chance, clearly_more

BATCH = 250
"""Number of images in a batch."""
MOST_TRIED = 500
"""Maximum number of images on which other ranges are tried, because each takes as long as the
model's own. On 500 images, a range that gains 5 percentage points and loses none is clearly
better."""
_Predict = Callable[[tf.Tensor], tf.Tensor]


class Predictions(NamedTuple):
    """Each image's predicted class (N,), and its probability (N,), called the confidence."""

    classes: np.ndarray
    confidence: np.ndarray


def predictions(model: keras.Model, split: Split, input_range: str) -> Predictions:
    """Predict the class of each image of a split, in the model's input range, ``LOW-HIGH``.

    Raises:
        InputError: If the model does not accept these images.
    """
    with _refusals(split):
        return _predicted(_traced(model, split, input_range), split, input_range)


@contextmanager
def _refusals(split: Split) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, tf.errors.OpError) as error:
        shape = tuple(split.images.shape[1:])
        message = f"the model does not accept images of shape {shape}: {describe(error)}"
        raise InputError(message) from error


def _predicted(predict: _Predict, split: Split, input_range: str) -> Predictions:
    found = Predictions(np.zeros(len(split), np.int64), np.zeros(len(split)))
    for begin in range(0, len(split), BATCH):
        rows = slice(begin, begin + BATCH)
        probabilities = predict(scaled(split.images[rows], input_range)).numpy()
        found.classes[rows] = probabilities.argmax(axis=1)
        found.confidence[rows] = probabilities.max(axis=1)
        report_progress()
    return found


def _traced(model: keras.Model, split: Split, input_range: str) -> _Predict:
    """Return a traced function from scaled images (B, H, W, C) to probabilities (B, classes)."""
    shape = split.images.shape[1:]
    example = scaled(np.random.default_rng(0).integers(0, 256, (2, *shape)), input_range)
    activation = observed_ending(model, example).activation

    def predict(images: tf.Tensor) -> tf.Tensor:
        outputs = tf.nest.flatten(model(images, training=False))[0]
        return class_probabilities(tf.cast(outputs, tf.float32), activation)

    with freed_custom_gradients(), inlined_calls(model):
        traced = tf.function(predict, autograph=False)
        return traced.get_concrete_function(tf.TensorSpec((None, *shape), tf.float32))


@dataclass(frozen=True)
class OtherRange:
    """A model's predictions with another input range, compared on the same images.

    Attributes:
        input_range: The other range.
        correct: Number of correct predictions with it.
        before: Number of correct predictions with the range that was used.
        images: Number of images; see ``MOST_TRIED``.
        confidence: Mean probability of the predicted classes with it.
        is_better: Whether it is clearly better than both the used range and a constant prediction.
    """

    input_range: str
    correct: int
    before: int
    images: int
    confidence: float
    is_better: bool

    @property
    def value(self) -> float:
        """The accuracy in [0, 1]."""
        return self.correct / self.images

    def as_dict(self) -> dict[str, Any]:
        """Return all values as JSON values."""
        return {
            "input_range": self.input_range,
            "value": self.value,
            "confidence": self.confidence,
            "correct": self.correct,
            "correct_before": self.before,
            "images": self.images,
            "clearly_better": self.is_better,
        }


def try_ranges(
    model: keras.Model, split: Split, classes: np.ndarray, ranges: Sequence[str]
) -> tuple[OtherRange, ...]:
    """Compare other input ranges with the used one on up to ``MOST_TRIED`` images of a split.

    ``classes`` are those predicted with the used range, (N,). Ranges that the model does not accept
    are left out.
    """
    rows = np.arange(len(split))
    if len(split) > MOST_TRIED:  # splits may be sorted, by class for example
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_TRIED, replace=False))
    if not len(rows):
        return ()
    chosen, tried = split.select(rows), []
    predict: _Predict | None = None
    for name in ranges:
        with suppress(InputError), _refusals(chosen):  # for example, of a layer that checks values
            predict = predict or _traced(model, chosen, name)
            found = _predicted(predict, chosen, name)
            tried.append(_compared(name, found, classes[rows], chosen.labels))
    return tuple(tried)


def _compared(name: str, other: Predictions, classes: np.ndarray, labels: np.ndarray) -> OtherRange:
    right, was_right = other.classes == labels, classes == labels
    correct, images = int(right.sum()), len(labels)
    gained, lost = int((right & ~was_right).sum()), int((was_right & ~right).sum())
    is_better = clearly_more(gained, lost) and better_than_chance(
        correct, images, int(np.bincount(labels).max())
    )
    confidence = float(np.nan_to_num(other.confidence).mean())
    return OtherRange(name, correct, int(was_right.sum()), images, confidence, is_better)


def better_range_text(used: str, tried: Sequence[OtherRange]) -> str:
    """Say which other range is clearly better than the used one; empty if none is."""
    better = [each for each in tried if each.is_better]
    if not better:
        return ""
    best = max(better, key=lambda each: each.correct)
    return (
        f"with values in the range {best.input_range}, the model classifies {best.correct:,} of "
        f"{best.images:,} images correctly; with {used}, only {best.before:,}. So {used} is "
        "probably wrong, and explanations with it mean little: set `input_range` "
        f"{best.input_range}, or the range on which the model was trained. {CHANNEL_CAUSE}"
    )
