"""Detects collapsed training, which does not fail but teaches the model nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xnas_tf.utils.intervals import better_than_chance

NEARLY_ALL = 0.95
"""Minimum share of the images that counts as nearly all of them."""


def describe_collapse(
    predictions: np.ndarray,
    labels: np.ndarray,
    correct: int,
    history: Sequence[Mapping[str, float]],
) -> str:
    """Describe how training collapsed; return an empty string if it did not.

    Training has collapsed if the network predicts one class for nearly all images although far
    fewer images belong to that class. Training has also collapsed if the training loss did not fall
    and the predictions are no better than always predicting the most common class.

    ``predictions`` and ``labels`` are the numbers of validation images that are predicted as, and
    that belong to, each class, (classes,); ``correct`` is the number of correct predictions.
    """
    images, most_predicted = int(labels.sum()), int(predictions.argmax())
    share, others = predictions[most_predicted] / images, 1 - labels[most_predicted] / images
    if share >= NEARLY_ALL and 1 - share < others / 4:
        return f"one class is predicted for {share:.0%} of the validation images"
    losses = [epoch["loss"] for epoch in history if "loss" in epoch]
    has_fallen = len(losses) < 2 or losses[-1] < losses[0]
    if not has_fallen and not better_than_chance(correct, images, int(labels.max())):
        return f"the training loss did not fall ({losses[0]:.3g} to {losses[-1]:.3g})"
    return ""
