"""Says how accurate a model is, to readers who know the images but not machine learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xnas_tf.interpretation.expert_page import listed
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.number_format import percent_range, percent_text

MUCH_WORSE = 0.1
"""A class is named if the upper end of the 95% interval of its accuracy is at least this far below
the accuracy on all images."""
MOST_NAMED = 3
"""Maximum number of classes to name."""
_CHANCE_CAUSES = (
    "The range of the input values, the order of the classes or the training may be wrong."
)
_TRAINING_CAUSE = (
    "xnas-tf trained the model on this range of values, so the training may have failed."
)
_UNSURE_CAUSES = (
    "The range of the input values may be wrong, or the training may have been very short."
)


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
    chance = _chance(accuracy)
    text = (
        f"The model classifies {accuracy['correct']:,} of {accuracy['images']:,} test images "
        f"correctly: its accuracy is {percent_text(value)} (95% confidence interval: "
        f"{percent_range(low, high)}). Always predicting the most frequent class would give "
        f"{percent_text(chance)}."
    )
    warning = accuracy_warning(accuracy)
    worst = "" if is_at_chance(accuracy) else worst_classes_text(value, classes)
    return " ".join(part for part in (text, worst, warning) if part)


def is_at_chance(accuracy: Mapping[str, Any] | None) -> bool:
    """Return whether a model is no better than a constant prediction; False if unknown."""
    return bool(accuracy and accuracy["at_chance"] and accuracy["value"] <= _chance(accuracy))


def accuracy_warning(accuracy: Mapping[str, Any]) -> str:
    """Say why explanations of a model may mean little, and possible causes; empty if they don't.

    ``accuracy`` is the result of ``Accuracy.as_dict``; files from earlier versions have no ranges.
    """
    if is_at_chance(accuracy):
        text = (
            "The accuracy is no better than that of always predicting the most frequent class, so "
            "the explanations of this model mean little."
        )
        causes = _TRAINING_CAUSE if _origin(accuracy) == "trained" else _CHANCE_CAUSES
        return f"{text} {_better_range_text(accuracy) or causes}"
    if accuracy["at_chance"]:
        text = (
            "The accuracy is not clearly better than that of always predicting the most frequent "
            "class: there are too few test images to tell. If it is not better, the explanations "
            "of this model mean little."
        )
        return f"{text} {_better_range_text(accuracy)}".rstrip()
    if accuracy.get("low_confidence"):
        text = (
            "The mean probability of the predicted classes is only "
            f"{percent_text(accuracy['mean_confidence'])}, far below the accuracy, so the "
            "explanations of this model may mean little."
        )
        advice = _better_range_text(accuracy) or _surer_range_text(accuracy)
        return f"{text} {advice or _UNSURE_CAUSES}"
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
    more = [f"{len(worse) - MOST_NAMED} more"] if len(worse) > MOST_NAMED else []
    return f"The model is much worse for {listed([*named, *more])}."


def _better_range_text(accuracy: Mapping[str, Any]) -> str:
    """Name the range with the highest accuracy if it is clearly better; empty if none is."""
    needed = max(_chance(accuracy), accuracy["value"])
    better = [each for each in _other_ranges(accuracy) if _least(each, accuracy) > needed]
    if not better:
        return ""
    best = max(better, key=lambda each: each["value"])
    return (
        f"{_range_text(accuracy, best)}: it was probably trained on that range. Make this page "
        f"again with `--input-range {best['input_range']}`."
    )


def _surer_range_text(accuracy: Mapping[str, Any]) -> str:
    """Name a range that makes the model more certain and no less accurate; empty if none does.

    A wider range makes the probabilities of many models more extreme, whatever range they were
    trained on, so this is only a hint, and none is given about a range that the user chose.
    """
    least = accuracy["mean_confidence"] + MUCH_WORSE
    surer = [
        each
        for each in _other_ranges(accuracy)
        if each["value"] >= accuracy["value"] and each["confidence"] > least
    ]
    if not surer or _origin(accuracy) == "given":
        return ""
    best = max(surer, key=lambda each: (each["value"], each["confidence"]))
    return (
        f"{_range_text(accuracy, best)}. It may have been trained on that range, but a wider range "
        "makes many models more certain whatever they were trained on. Look up the range, and name "
        "it with `--input-range`."
    )


def _range_text(accuracy: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return (
        f"It was given values in the range {accuracy['input_range']}. With the range "
        f"{other['input_range']}, its accuracy is {other['value']:.1%} and the mean probability "
        f"{other['confidence']:.1%}"
    )


def _least(other: Mapping[str, Any], accuracy: Mapping[str, Any]) -> float:
    """Return the lower end of the 95% interval of the accuracy with another range."""
    interval = accuracy_interval(other["value"] * accuracy["images"], accuracy["images"])
    return interval[0] if interval else 0.0


def _other_ranges(accuracy: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return accuracy.get("other_ranges") or []


def _origin(accuracy: Mapping[str, Any]) -> str | None:
    """Return how the input range was determined; None in files from earlier versions."""
    return accuracy.get("range_origin")


def _chance(accuracy: Mapping[str, Any]) -> float:
    """Return the accuracy of always predicting the most frequent class."""
    return float(accuracy["commonest_class"] / accuracy["images"])
