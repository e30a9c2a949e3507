"""A model's accuracy, reported before the model is explained.

Explanations of a model that is no better than chance mean little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.dataset import Split
from xnas_tf.data.value_scaling import Scaling
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.input_range import RANGES, InputRange, Origin, range_name, scaled
from xnas_tf.keras_tools.inspection import inlined_calls, observed_ending
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import report_progress
from xnas_tf.utils.intervals import accuracy_interval, better_than_chance

BATCH = 250
"""Number of images in a batch."""
WARNING = "warning: "
"""Prefix of lines that the command line prints in red."""
LOW_CONFIDENCE = 0.25
"""How far the mean confidence may be below the accuracy without a warning. Networks trained without
strong regularisation tend to be overconfident (Guo et al. 2017, arXiv 1706.04599); values in the
wrong range usually leave the outputs nearly uniform."""


class Predictions(NamedTuple):
    """Each image's predicted class (N,), and its probability (N,), called the confidence."""

    classes: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a model on labelled images.

    Attributes:
        correct: Number of correct predictions.
        images: Number of images.
        commonest: Number of images that belong to the most frequent class.
        confidence: Mean probability of the predicted classes; None if unknown, or if the model is
            certain to have received the values that it expects.
        by_class: For each class number, the numbers of correct predictions and of images; empty if
            unknown.
        input_range: The range of the values that the model received; empty if unknown.
        range_origin: How this range was determined; None if unknown.
        tried: The accuracy with other input ranges, if these were tried to find out why this one is
            low, or why the confidence is.
    """

    correct: int
    images: int
    commonest: int
    confidence: float | None = None
    by_class: tuple[tuple[int, int], ...] = ()
    input_range: str = ""
    range_origin: Origin | None = None
    tried: tuple[Accuracy, ...] = ()

    @classmethod
    def of(
        cls, predicted: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None = None
    ) -> Accuracy:
        """Compute the accuracy of predicted classes, given the true classes and the confidence."""
        counts = np.bincount(labels)
        correct = np.bincount(labels[predicted == labels], minlength=len(counts))
        mean = None if confidence is None or not len(labels) else float(np.mean(confidence))
        by_class = tuple(zip(correct.tolist(), counts.tolist(), strict=True))
        commonest = int(counts.max(initial=0))
        return cls(int(correct.sum()), len(labels), commonest, mean, by_class)

    @property
    def value(self) -> float | None:
        """The accuracy in [0, 1]; None if there are no images."""
        return self.correct / self.images if self.images else None

    @property
    def chance(self) -> float | None:
        """The accuracy of always predicting the most frequent class; None without images."""
        return self.commonest / self.images if self.images else None

    @property
    def is_chance(self) -> bool:
        """Whether the accuracy is not significantly above that of a constant prediction."""
        return self.images > 0 and not better_than_chance(self.correct, self.images, self.commonest)

    @property
    def is_unsure(self) -> bool:
        """Whether the mean confidence is far below the accuracy; see ``LOW_CONFIDENCE``."""
        if self.value is None or self.confidence is None:
            return False
        return self.value - self.confidence > LOW_CONFIDENCE

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
            "mean_confidence": self.confidence,
            "low_confidence": self.is_unsure,
            "input_range": self.input_range or None,
            "range_origin": self.range_origin,
            "other_ranges": [
                {
                    "input_range": each.input_range,
                    "value": each.value,
                    "confidence": each.confidence,
                }
                for each in self.tried
            ],
        }

    def classes(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the counts of each class as JSON values, given the names of all classes."""
        counts = [*self.by_class, *[(0, 0)] * (len(names) - len(self.by_class))]
        return [
            {"class": name, "correct": correct, "images": images}
            for name, (correct, images) in zip(names, counts, strict=True)
        ]


def accuracy_of(model: keras.Model, split: Split, input_range: str) -> Accuracy:
    """Compute a model's accuracy and confidence on all images of a split; see ``predictions``."""
    classes, confidence = predictions(model, split, input_range)
    return replace(Accuracy.of(classes, split.labels, confidence), input_range=input_range)


def predictions(model: keras.Model, split: Split, input_range: str) -> Predictions:
    """Predict the class of each image of a split.

    Args:
        model: A Keras image classifier.
        split: Labelled images.
        input_range: The model's input range, as ``LOW-HIGH``.

    Raises:
        InputError: If the model does not accept these images.
    """
    found = Predictions(np.zeros(len(split), np.int64), np.zeros(len(split)))
    try:
        predict = _traced_prediction(model, split.images.shape[1:], input_range)
        for begin in range(0, len(split), BATCH):
            rows = slice(begin, begin + BATCH)
            probabilities = predict(tf.constant(split.images[rows])).numpy()
            found.classes[rows] = probabilities.argmax(axis=1)
            found.confidence[rows] = probabilities.max(axis=1)
            report_progress()
    except (ValueError, TypeError, tf.errors.OpError) as error:
        shape = tuple(split.images.shape[1:])
        message = f"the model does not accept images of shape {shape}: {describe(error)}"
        raise InputError(message) from error
    return found


def _traced_prediction(
    model: keras.Model, shape: tuple[int, ...], input_range: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a traced function from uint8 images (B, H, W, C) to probabilities (B, classes)."""
    example = scaled(np.random.default_rng(0).integers(0, 256, (2, *shape)), input_range)
    activation = observed_ending(model, example).activation

    def predict(images: tf.Tensor) -> tf.Tensor:
        outputs = tf.nest.flatten(model(scaled(images, input_range), training=False))[0]
        return class_probabilities(tf.cast(outputs, tf.float32), activation)

    with freed_custom_gradients(), inlined_calls(model):
        traced = tf.function(predict, autograph=False)
        return traced.get_concrete_function(tf.TensorSpec((None, *shape), tf.uint8))


def report_accuracy(
    accuracy: Accuracy,
    input_range: InputRange,
    log: Callable[[str], None],
    model: keras.Model,
    split: Split,
    scaling: Scaling,
) -> Accuracy:
    """Report a model's accuracy, and warn if explanations of the model may mean little.

    The warnings concern models that are not clearly better than chance, and a mean confidence that
    is far below the accuracy. Other input ranges are tried to find the cause, unless the range is
    certain. If the user did not name the input range and the data's range is unusual, the two
    ranges are also compared.

    Args:
        accuracy: The accuracy.
        input_range: The range of the pixel values that the model received.
        log: Called with each message; warnings begin with ``WARNING``.
        model: The model.
        split: The images on which to try other input ranges.
        scaling: The scaling of the data set.

    Returns:
        The accuracy with its input range, and with the other ranges if a warning made it necessary
        to try them.
    """
    log(accuracy.text)
    used = input_range.name
    own = "" if scaling.is_usual else range_name(scaling.low, scaling.high)
    others = [name for name in dict.fromkeys([own, *RANGES]) if name not in ("", used)]
    tried: tuple[Accuracy, ...] = ()
    if (accuracy.is_chance or accuracy.is_unsure) and not input_range.is_certain:
        tried = tuple(accuracy_of(model, split, name) for name in others)
    full = replace(accuracy, input_range=used, range_origin=input_range.origin, tried=tried)
    example = f", such as the data set's own, {own}" if own in others else ""
    if warning := _warning(full, f"{used}{example}"):
        log(f"{WARNING}{warning}")
    elif own in others and not (input_range.is_certain or input_range.origin == "given"):
        log(
            f"the values of the data set range from {scaling.low:.6g} to {scaling.high:.6g}. If "
            "the model was trained on these, set `input_range` "
            f"{_said([accuracy_of(model, split, own)])}"
        )
    return full


def _warning(accuracy: Accuracy, used: str) -> str:
    """Say why explanations of a model may mean little, and possible causes; empty if they don't.

    ``used`` describes the range of values that the model received.
    """
    range_cause = f"it expects values other than {used} (`input_range` {_said(accuracy.tried)})"
    if accuracy.is_chance:
        return _chance_warning(accuracy, range_cause)
    if accuracy.is_unsure:
        return (
            "the mean probability of the predicted classes is only "
            f"{accuracy.confidence:.1%}, far below the accuracy. Possible causes: {range_cause}, "
            "or it was trained for too few epochs or with strong regularisation"
        )
    return ""


def _chance_warning(accuracy: Accuracy, range_cause: str) -> str:
    value, chance = accuracy.value or 0.0, accuracy.chance or 0.0
    constant = f"always predicting the most frequent class ({chance:.2%})"
    if value > chance:
        others = f". With other values of `input_range`: {_said(accuracy.tried)}"
        return (
            f"this is not clearly better than {constant}: there are too few test images to tell"
            f"{others if accuracy.tried else ''}"
        )
    text = f"this is no better than {constant}, so explanations of this model mean little. "
    if accuracy.range_origin == "trained":
        return f"{text}xnas-tf trained it on this range of values, so the training may have failed"
    return (
        f"{text}Possible causes: {range_cause}, its classes are in a different order from the data "
        "set's, or it learned nothing"
    )


def _said(tried: Sequence[Accuracy]) -> str:
    """Say how accurate and how confident a model is with other input ranges."""
    return "; ".join(
        f"{each.input_range}: accuracy {each.value:.2%}, mean probability {each.confidence:.1%}"
        for each in tried
    )
