"""Says how accurate a model is, to readers who know the images but not machine learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xnas_tf.interpretation.expert_page import listed
from xnas_tf.keras_tools.range_names import CHANNEL_CAUSE, limits_of
from xnas_tf.utils.intervals import accuracy_interval, clearly_higher
from xnas_tf.utils.number_format import percent_range, percent_text

MUCH_WORSE = 0.1
"""A class is named if the upper end of the 95% interval of its accuracy is at least this far below
the accuracy on all images."""
MOST_NAMED = 3
"""Maximum number of classes to name."""
_CHANCE_CAUSES = (
    "The range of the input values, the order of the classes or the training may be wrong. "
    f"{CHANNEL_CAUSE}."
)
_TRAINING_CAUSE = (
    "xnas-tf trained the model on this range of values, so the training may have failed."
)
_UNSURE_CAUSES = (
    "The range of the input values may be wrong, or the training may have been very short. "
    f"{CHANNEL_CAUSE}."
)


def accuracy_paragraph(
    accuracy: Mapping[str, Any] | None, classes: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Describe the results of ``Accuracy.as_dict`` and ``Accuracy.classes``; empty if unknown."""
    if not accuracy or not accuracy["images"]:
        return ""
    low, value, high = accuracy["interval"]
    text = (
        f"The model classifies {accuracy['correct']:,} of {accuracy['images']:,} test images "
        f"correctly: its accuracy is {percent_text(value)} (95% confidence interval: "
        f"{percent_range(low, high)}). Always predicting the most frequent class would give "
        f"{percent_text(_chance(accuracy))}."
    )
    worst = "" if means_little(accuracy) else worst_classes_text(value, classes)
    return " ".join(filter(None, [text, worst, accuracy_warning(accuracy)]))


def is_at_chance(accuracy: Mapping[str, Any] | None) -> bool:
    """Return whether a model is no better than a constant prediction; False if unknown."""
    return bool(accuracy and accuracy["at_chance"] and accuracy["value"] <= _chance(accuracy))


def means_little(accuracy: Mapping[str, Any] | None) -> bool:
    """Return whether a model is at chance or probably got values in the wrong range.

    If so, nothing about it can be concluded from its explanations. False if unknown.
    """
    return is_at_chance(accuracy) or bool(accuracy and _better_range(accuracy))


def range_warning(known: Mapping[str, Any]) -> str:
    """Say that a model is clearly more accurate with another input range; empty if it is not.

    ``known`` has the input range, its origin and other ranges, as in ``Accuracy.as_dict``.
    """
    best = _better_range(known)
    if best is None:
        return ""
    used, other = known["input_range"], best["input_range"]
    how = "assumed to be in" if known.get("range_origin") == "assumed" else "in"
    return (
        f"The values that the model received were {how} the range {range_words(used)}. With "
        f"{range_words(other)}, the model is right on {best['correct']:,} of {best['images']:,} "
        f"images instead of {best['correct_before']:,}. So {range_words(used)} is probably wrong, "
        "and this page does not describe the model as it should be used. Make this page "
        f'again with `--input-range {other}` (in Python: `input_range="{other}"`), or with the '
        f"range on which the model was trained. {CHANNEL_CAUSE}."
    )


def assumed_range_text(known: Mapping[str, Any]) -> str:
    """Say that an input range was only assumed; empty if it was not. See ``range_warning``."""
    if known.get("range_origin") != "assumed" or _better_range(known):
        return ""
    text = (
        "The model does not say which range of pixel values it expects. The range was assumed "
        f"to be {range_words(known['input_range'])}"
    )
    if _other_ranges(known):
        return f"{text}; the other usual ranges do not make the model clearly more accurate."
    return (
        f"{text}. If this is wrong, so is everything on this page. To check it, use images whose "
        "classes are known (`--dataset`; in Python: `labels`): the accuracy should match the one "
        "you know. To name the right range, use `--input-range` (in Python: `input_range`)."
    )


def accuracy_warning(accuracy: Mapping[str, Any]) -> str:
    """Say why explanations of a model may mean little, and possible causes; empty if they don't.

    ``accuracy`` is the result of ``Accuracy.as_dict``; files from earlier versions have no ranges.
    """
    if is_at_chance(accuracy):
        text = (
            "The accuracy is no better than that of always predicting the most frequent class, so "
            "the explanations of this model mean little."
        )
        is_trained = accuracy.get("range_origin") == "trained"
        causes = _TRAINING_CAUSE if is_trained else _CHANCE_CAUSES
    elif accuracy["at_chance"]:
        return (
            "The accuracy is not clearly better than that of always predicting the most frequent "
            "class: there are too few test images to tell. If it is not better, the explanations "
            "of this model mean little."
        )
    elif accuracy.get("low_confidence"):
        text = (
            "The mean probability of the predicted classes is only "
            f"{percent_text(accuracy['mean_confidence'])}, far below the accuracy, so the "
            "explanations of this model may mean little."
        )
        causes = _surer_range_text(accuracy) or _UNSURE_CAUSES
    else:
        return ""
    return text if _better_range(accuracy) else f"{text} {causes}"


def worst_classes_text(value: float, classes: Sequence[Mapping[str, Any]]) -> str:
    """Name the classes for which a model of accuracy ``value`` is much worse; empty if none."""
    worse = [
        each
        for each in classes
        if (interval := accuracy_interval(each["correct"], each["images"]))
        and interval[2] < value - MUCH_WORSE
    ]
    named = [
        f"{each['class']} ({each['correct']:,} of {each['images']:,} correct)"
        for each in sorted(worse, key=lambda each: each["correct"] / each["images"])[:MOST_NAMED]
    ]
    more = [f"{len(worse) - MOST_NAMED} more"] if len(worse) > MOST_NAMED else []
    return f"The model is much worse for {listed([*named, *more])}." if worse else ""


def accuracy_gap_text(
    confusion: Sequence[Sequence[int]], validation: float | None, images: int
) -> str:
    """Say if the test accuracy is clearly below the validation accuracy; otherwise empty.

    ``confusion`` are numbers of test images, (classes, classes), with true classes in rows and at
    least one image. ``images`` is the number of validation images, or 0 if unknown.
    """
    correct = sum(row[label] for label, row in enumerate(confusion))
    tested = sum(map(sum, confusion))
    if not (validation and images and clearly_higher(validation, images, correct / tested, tested)):
        return ""
    return (
        f"The accuracy of {percent_text(correct / tested)} is clearly below the "
        f"{percent_text(validation)} on the validation split, perhaps by luck, or because the test "
        "images differ: use several seeds to retrain the candidates that you compare."
    )


def weak_classes_text(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> str:
    """Name the classes for which a model is much worse, as ``explain`` does.

    The text is empty if there are none, or if the model is no better than chance. ``confusion`` is
    as in ``accuracy_gap_text``; ``class_names`` has one name per class.
    """
    totals = [sum(row) for row in confusion]
    right = [row[label] for label, row in enumerate(confusion)]
    if sum(right) <= max(totals):  # no better than always predicting the most frequent class
        return ""
    classes = [
        {"class": name, "correct": count, "images": total}
        for name, count, total in zip(class_names, right, totals, strict=True)
    ]
    return worst_classes_text(sum(right) / sum(totals), classes)


def _better_range(known: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the most accurate range that is clearly better; None if none is."""
    better = [each for each in _other_ranges(known) if each.get("clearly_better")]
    return max(better, key=lambda each: each["value"], default=None)


def _surer_range_text(accuracy: Mapping[str, Any]) -> str:
    """Name a range that makes the model more certain and no less accurate; empty if none does.

    A wider range makes the probabilities of many models more extreme, whatever range they were
    trained on, so this is only a hint, and none is given about a range that the user chose.
    """
    least = accuracy["mean_confidence"] + MUCH_WORSE
    surer = [
        each
        for each in _other_ranges(accuracy)
        if each["correct"] >= each["correct_before"] and each["confidence"] > least
    ]
    if not surer or accuracy.get("range_origin") == "given":
        return ""
    best = max(surer, key=lambda each: (each["value"], each["confidence"]))
    return (
        f"It was given values in the range {accuracy['input_range']}. With the range "
        f"{best['input_range']}, its accuracy is {percent_text(best['value'])} and the mean "
        f"probability {percent_text(best['confidence'])}. It may have been trained on that range, "
        "but a wider range makes many models more certain whatever they were trained on. Look up "
        "the range, and name it with `--input-range` (in Python: `input_range`)."
    )


def range_words(name: str) -> str:
    """Return a range in words, such as *-1 to 1* for ``-1-1``."""
    low, high = limits_of(name)
    return f"{low:g} to {high:g}"


def _other_ranges(accuracy: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the comparisons with other ranges, except the unpaired ones of earlier versions."""
    return [each for each in accuracy.get("other_ranges") or [] if "clearly_better" in each]


def _chance(accuracy: Mapping[str, Any]) -> float:
    """Return the accuracy of always predicting the most frequent class."""
    return float(accuracy["commonest_class"] / accuracy["images"])
