"""Detects collapsed training, which does not fail but teaches the model nothing, and its cause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.training.options import RATES, TrainingOptions
from xnas_tf.utils.intervals import better_than_chance
from xnas_tf.utils.number_format import counted

NEARLY_ALL = 0.95
"""Minimum share of the images that counts as nearly all of them."""
FAST_MOMENTUM = 0.9
"""Momentum of batch normalisation with which short training suffices for the moving averages."""
_ACCURACY_GAP = 0.2
"""If training accuracy exceeds validation accuracy by at least this much, the network is assumed to
have learned, and only its predictions in inference mode are assumed to be wrong."""


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


def collapse_text(
    candidates: Sequence[Candidate],
    config: Config,
    has_own_optimizer: bool = False,
    range_problem: str = "",
    norm_momentum: float | None = None,
) -> str:
    """Describe how many candidates collapsed, and the likely cause; empty if none did.

    ``has_own_optimizer`` says whether the HyperModel compiles its models, and ``range_problem`` why
    its models do not suit the images' range of values, which is then the likely cause.
    ``norm_momentum`` is the largest momentum of the default model's batch normalisation layers; 0
    if it has none; None in runs of earlier versions.
    """
    done = [candidate for candidate in candidates if candidate.state == "done"]
    collapsed = [candidate for candidate in done if candidate.collapsed]
    if not collapsed:
        return ""
    learned = sum(map(_learned_in_training, collapsed))
    if 2 * learned > len(collapsed) and norm_momentum != 0:
        other = _normalization_cause(config.training, norm_momentum)
    else:
        other = _step_cause(config.training, has_own_optimizer)
    first = range_problem or _random_weights_cause(config)
    cause = f"{first}. If that is not the cause: {other}" if first else other
    return (
        f"{len(collapsed)} of {len(done)} trained candidates collapsed: they predict one class for "
        f"nearly all images, or their training loss did not fall. Likely cause: {cause}. "
        "To change a setting, start a new run in another run directory"
    )


def _random_weights_cause(config: Config) -> str:
    """Return a cause if the HyperModel's option ``weights`` is null, as for random weights."""
    options = getattr(config.space, "options", {})
    if options.get("weights", "") is not None:
        return ""
    return (
        "the networks may start from random weights (space.options.weights is null), from which "
        f"they learn little in {counted(config.training.epochs, 'epoch')} unless there are many "
        "images; load pretrained weights, or train for many more epochs"
    )


def _learned_in_training(candidate: Candidate) -> bool:
    metrics = candidate.metrics
    return metrics.get("accuracy", 0.0) > metrics.get("val_accuracy", math.inf) + _ACCURACY_GAP


def _normalization_cause(training: TrainingOptions, momentum: float | None) -> str:
    advice = ""
    if momentum is None:
        advice = f"make sure that your model sets momentum={FAST_MOMENTUM}, or "
    elif momentum > FAST_MOMENTUM:
        advice = f"set momentum={FAST_MOMENTUM} in your model, which has {momentum:g}, or "
    return (
        "they have learned in training mode only, because the moving averages of batch "
        f"normalisation lag behind; {advice}train for more than "
        f"{counted(training.epochs, 'epoch')} (try training.epochs={3 * training.epochs})"
    )


def _step_cause(training: TrainingOptions, has_own_optimizer: bool) -> str:
    if has_own_optimizer:
        return (
            "the learning rate with which your HyperModel compiles its models is unsuitable, too "
            "many of their layers are frozen, or there are too few epochs (try "
            f"training.epochs={3 * training.epochs})"
        )
    lower = f"training.learning_rate={training.learning_rate / 10:g}"
    adam = f"training.optimizer=adam with training.learning_rate={RATES['adam']:g}"
    other = "" if training.optimizer == "adam" else f", or {adam}"
    return (
        f"the learning rate ({training.learning_rate:g} with {training.optimizer}, unless your "
        f"models are compiled with another one) is too high (try {lower}{other}), or there are too "
        f"few epochs (try training.epochs={3 * training.epochs})"
    )
