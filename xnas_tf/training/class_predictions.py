"""Predicts the classes of images with any Keras image classifier, in any input range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.dataset import Split
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.input_range import scaled
from xnas_tf.keras_tools.inspection import inlined_calls, observed_ending
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import report_progress

BATCH = 250
"""Number of images in a batch."""
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


def accepted_predictions(
    model: keras.Model, split: Split, ranges: Sequence[str]
) -> dict[str, Predictions]:
    """Predict the classes of a split in each of several input ranges that the model accepts."""
    found: dict[str, Predictions] = {}
    predict: _Predict | None = None
    for name in ranges:
        try:
            with _refusals(split):
                predict = predict or _traced(model, split, name)
                found[name] = _predicted(predict, split, name)
        except InputError:  # for example, from a layer that checks its values
            continue
    return found


@contextmanager
def _refusals(split: Split) -> Iterator[None]:
    """Turn the errors of a model that does not accept the images of a split into our own."""
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
