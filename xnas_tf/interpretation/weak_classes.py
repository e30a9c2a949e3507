"""Names the classes for which a tested model is much worse, given its confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.interpretation.accuracy_text import is_at_chance, worst_classes_text
from xnas_tf.utils.intervals import better_than_chance


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
