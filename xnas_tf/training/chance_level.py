"""A model's accuracy, reported before the model is explained.

Explanations of a model that is no better than chance mean little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from xnas_tf.data.dataset import Split
from xnas_tf.data.value_scaling import Scaling
from xnas_tf.keras_tools.input_range import InputRange, Origin
from xnas_tf.keras_tools.range_names import CHANNEL_CAUSE, RANGES, range_name
from xnas_tf.training.class_predictions import (
    OtherRange,
    Predictions,
    better_range_text,
    try_ranges,
)
from xnas_tf.utils.intervals import accuracy_interval, better_than_chance
from xnas_tf.utils.number_format import percent_range, percent_text

WARNING = "warning: "
"""Prefix of lines that the command line prints in red."""
LOW_CONFIDENCE = 0.25
"""How far the mean confidence may be below the accuracy without a warning. Networks trained without
strong regularisation tend to be overconfident (Guo et al. 2017, arXiv 1706.04599); values in the
wrong range usually leave the outputs nearly uniform."""


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
        tried: Comparisons with other input ranges, unless the model is certain to have received the
            values that it expects.
    """

    correct: int
    images: int
    commonest: int
    confidence: float | None = None
    by_class: tuple[tuple[int, int], ...] = ()
    input_range: str = ""
    range_origin: Origin | None = None
    tried: tuple[OtherRange, ...] = ()

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
        """Accuracy of always predicting the most frequent class; None if there are no images."""
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
            f"accuracy {percent_text(value, 2)}: {self.correct:,} of "
            f"{self.images:,} test images (95% interval {percent_range(low, high)})"
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
            "other_ranges": [each.as_dict() for each in self.tried],
        }

    def classes(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the counts of each class as JSON values, given the names of all classes."""
        counts = [*self.by_class, *[(0, 0)] * (len(names) - len(self.by_class))]
        return [
            {"class": name, "correct": correct, "images": images}
            for name, (correct, images) in zip(names, counts, strict=True)
        ]


def report_accuracy(
    found: Predictions,
    input_range: InputRange,
    log: Callable[[str], None],
    model: keras.Model,
    split: Split,
    scaling: Scaling,
) -> Accuracy:
    """Report a model's accuracy, and warn if its explanations are likely to mean little.

    Unless the input range is certain, other ranges are tried. The warnings concern models that are
    not clearly better than chance, a mean confidence that is far below the accuracy, and another
    range that is clearly better. If there is no warning, and the user did not name the range, it is
    compared with the data's own range if that is unusual. Warnings begin with ``WARNING``.

    Returns:
        The accuracy with its input range and the comparisons with other ranges.
    """
    own = "" if scaling.is_usual else range_name(scaling.low, scaling.high)
    is_certain, used = input_range.is_certain, input_range.name
    accuracy = replace(
        Accuracy.of(found.classes, split.labels, None if is_certain else found.confidence),
        input_range=used,
        range_origin=input_range.origin,
    )
    log(accuracy.text)
    if not is_certain:
        others = [name for name in dict.fromkeys([own, *RANGES]) if name not in ("", used)]
        accuracy = replace(accuracy, tried=try_ranges(model, split, found.classes, others))
    of_data = [each for each in accuracy.tried if each.input_range == own]
    example = f", such as the data set's own, {own}" if of_data else ""
    warnings = list(_warnings(accuracy, f"{used}{example}"))
    for warning in warnings:
        log(f"{WARNING}{warning}")
    if of_data and not warnings and input_range.origin != "given":
        log(
            f"the values of the data set range from {scaling.low:.6g} to {scaling.high:.6g}. If "
            f"the model was trained on these, set `input_range` {_said(of_data)}"
        )
    return accuracy


def _warnings(accuracy: Accuracy, used: str) -> Iterator[str]:
    """Say why explanations of a model may mean little, and possible causes.

    ``used`` describes the range of values that the model received.
    """
    others = f" (`input_range` {_said(accuracy.tried)})" if accuracy.tried else ""
    range_cause = f"it expects values other than {used}{others}"
    better = better_range_text(accuracy.input_range, accuracy.tried)
    channels = "" if better else f". {CHANNEL_CAUSE}"  # named only once
    if accuracy.is_chance:
        yield _chance_warning(accuracy, range_cause, channels)
    elif accuracy.is_unsure:
        yield (
            "the mean probability of the predicted classes is only "
            f"{percent_text(accuracy.confidence or 0.0)}, far below the accuracy. Possible causes: "
            f"{range_cause}, or it was trained for too few epochs or with strong regularisation"
            f"{channels}"
        )
    if better:
        yield better


def _chance_warning(accuracy: Accuracy, range_cause: str, channels: str) -> str:
    value, chance = accuracy.value or 0.0, accuracy.chance or 0.0
    constant = f"always predicting the most frequent class ({percent_text(chance, 2)})"
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
        f"set's, or it learned nothing{channels}"
    )


def _said(tried: Sequence[OtherRange]) -> str:
    return "; ".join(
        f"{each.input_range}: accuracy {percent_text(each.value, 2)}, mean probability "
        f"{percent_text(each.confidence)}"
        for each in tried
    )
