"""Compares a model's accuracy in several input ranges, to notice that it expects another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from xnas_tf.data.dataset import Split
from xnas_tf.keras_tools.range_names import CHANNEL_CAUSE
from xnas_tf.training.class_predictions import Predictions, accepted_predictions
from xnas_tf.utils.intervals import better_than_chance, clearly_more

MOST_TRIED = 500
"""Maximum number of images on which other ranges are tried, because each takes as long as the
model's own. On 500 images, a range that gains 5 percentage points and loses none is clearly
better."""


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
    chosen = split.select(rows)
    found = accepted_predictions(model, chosen, ranges)
    return tuple(_compared(n, each, classes[rows], chosen.labels) for n, each in found.items())


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
