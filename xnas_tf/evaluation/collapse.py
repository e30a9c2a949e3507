"""Trainings that came to nothing although they did not fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xnas_tf.utils.intervals import better_than_chance

NEARLY_ALL = 0.95
"""Share of the images from which on one answer counts as the answer for nearly all."""


def collapse_of(
    answers: np.ndarray, labels: np.ndarray, right: int, history: Sequence[Mapping[str, float]]
) -> str:
    """How a training collapsed, in words; empty if it did not.

    It did if the network answers one class for nearly all images, though most of the others are
    of other classes, or if the training loss did not fall and the answers show no more than
    always answering the commonest class.

    Args:
        answers: Validation images for which each class is answered, (classes,).
        labels: Validation images of each class, (classes,).
        right: Right answers.
        history: Figures of each epoch.
    """
    images, answered = int(labels.sum()), int(answers.argmax())
    share, others = answers[answered] / images, 1 - labels[answered] / images
    if share >= NEARLY_ALL and 1 - share <= others / 4:
        return f"the same class is answered for {share:.0%} of the validation images"
    losses = [epoch["loss"] for epoch in history if "loss" in epoch]
    fell = len(losses) < 2 or losses[-1] < losses[0]
    if not fell and not better_than_chance(right, images, int(labels.max())):
        return f"the training loss did not fall ({losses[0]:.3g} to {losses[-1]:.3g})"
    return ""
