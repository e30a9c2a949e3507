"""Says what is noticeable about a tested model, given its confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.interpretation.accuracy_text import is_at_chance, worst_classes_text
from xnas_tf.utils.intervals import better_than_chance, clearly_higher
from xnas_tf.utils.number_format import percent_text


def accuracy_gap_text(
    confusion: Sequence[Sequence[int]], validation: float | None, images: int
) -> str:
    """Say if the test accuracy is clearly below the validation accuracy.

    Args:
        confusion: Numbers of test images, (classes, classes), with true classes in rows; at least
            one image.
        validation: Validation accuracy; None if unknown.
        images: Number of validation images; 0 if unknown.

    Returns:
        A sentence; empty if there is no clear difference.
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

    Args:
        confusion: Numbers of test images, (classes, classes), with true classes in rows; at least
            one image.
        class_names: One name per class.

    Returns:
        A sentence; empty if there is no such class, or the model is no better than chance.
    """
    totals = [sum(row) for row in confusion]
    right = [row[label] for label, row in enumerate(confusion)]
    images, correct, commonest = sum(totals), sum(right), max(totals)
    accuracy = {
        "value": correct / images,
        "images": images,
        "commonest_class": commonest,
        "at_chance": not better_than_chance(correct, images, commonest),
    }
    if is_at_chance(accuracy):
        return ""
    classes = [
        {"class": name, "correct": count, "images": total}
        for name, count, total in zip(class_names, right, totals, strict=True)
    ]
    return worst_classes_text(correct / images, classes)
