"""Says how accurate a model is, to readers who know the images but not machine learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xnas_tf.utils.intervals import accuracy_interval

MUCH_WORSE = 0.1
"""A class is named if the upper end of the 95% interval of its accuracy is at least this far below
the accuracy on all images."""
MOST_NAMED = 3
"""Maximum number of classes to name."""
_CHANCE_CAUSES = "The range of the input values, the order of the classes or the training is wrong."
_UNSURE_CAUSES = "Either the range of the input values is wrong, or the training was very short."


def accuracy_paragraph(
    accuracy: Mapping[str, Any] | None, classes: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Describe a model's accuracy; empty if unknown.

    Args:
        accuracy: The result of ``Accuracy.as_dict``.
        classes: The result of ``Accuracy.classes``.
    """
    if not accuracy or not accuracy["images"]:
        return ""
    low, value, high = accuracy["interval"]
    chance = accuracy["commonest_class"] / accuracy["images"]
    text = (
        f"The model classifies {accuracy['correct']:,} of {accuracy['images']:,} test images "
        f"correctly: its accuracy is {value:.1%} (95% confidence interval: {low:.1%} to "
        f"{high:.1%}). Always predicting the most frequent class would give {chance:.1%}."
    )
    warning = accuracy_warning(accuracy)
    worst = "" if is_at_chance(accuracy) else worst_classes_text(value, classes)
    return " ".join(part for part in (text, worst, warning) if part)


def is_at_chance(accuracy: Mapping[str, Any] | None) -> bool:
    """Return whether a model is no better than a constant prediction; False if unknown."""
    return bool(accuracy and accuracy["at_chance"])


def accuracy_warning(accuracy: Mapping[str, Any]) -> str:
    """Say why explanations of a model may mean little, and the likely cause; empty if they don't.

    ``accuracy`` is the result of ``Accuracy.as_dict``; files from earlier versions have no ranges.
    """
    if accuracy["at_chance"]:
        text = (
            "The accuracy is no better than that of always predicting the most frequent class, so "
            "the explanations of this model mean little."
        )
        return f"{text} {_better_range_text(accuracy, 'value') or _CHANCE_CAUSES}"
    if accuracy.get("low_confidence"):
        text = (
            "The mean probability of the predicted classes is only "
            f"{accuracy['mean_confidence']:.1%}, far below the accuracy, so the explanations of "
            "this model may mean little."
        )
        return f"{text} {_better_range_text(accuracy, 'confidence') or _UNSURE_CAUSES}"
    return ""


def worst_classes_text(value: float, classes: Sequence[Mapping[str, Any]]) -> str:
    """Name the classes for which a model of accuracy ``value`` is much worse; empty if none."""
    worse = [
        (each["correct"] / each["images"], each)
        for each in classes
        if each["images"]
        and (interval := accuracy_interval(each["correct"], each["images"]))
        and interval[2] < value - MUCH_WORSE
    ]
    if not worse:
        return ""
    named = [
        f"{each['class']} ({each['correct']:,} of {each['images']:,} correct)"
        for _, each in sorted(worse, key=lambda pair: pair[0])[:MOST_NAMED]
    ]
    more = f", and {len(worse) - MOST_NAMED} more" if len(worse) > MOST_NAMED else ""
    return f"The model is much worse for {', '.join(named)}{more}."


def _better_range_text(accuracy: Mapping[str, Any], measure: str) -> str:
    """Name the range with the highest ``measure`` if it explains a warning; empty if none does."""
    tried = accuracy.get("other_ranges") or []
    best = max(tried, key=lambda each: each[measure], default=None)
    if best is None or best["value"] < accuracy["value"]:
        return ""
    if not _explains(accuracy, best, measure):
        return ""
    return (
        f"It was given values in the range {accuracy['input_range']}. With the range "
        f"{best['input_range']}, its accuracy is {best['value']:.1%} and the mean probability "
        f"{best['confidence']:.1%}: it was probably trained on that range. Make this page again "
        f"with `--input-range {best['input_range']}`."
    )


def _explains(accuracy: Mapping[str, Any], best: Mapping[str, Any], measure: str) -> bool:
    """Return whether a range is clearly better than the one that was used."""
    if measure == "value":
        low = accuracy_interval(best["value"] * accuracy["images"], accuracy["images"])
        chance = accuracy["commonest_class"] / accuracy["images"]
        return low is not None and low[0] > max(chance, accuracy["value"])
    return bool(best["confidence"] - accuracy["mean_confidence"] > MUCH_WORSE)
