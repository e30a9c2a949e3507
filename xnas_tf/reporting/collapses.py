"""What is said of trainings that came to nothing: how many did, and the likely cause."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.training.options import RATES, TrainingOptions

LEARNED = 0.2
"""How much higher than the validation accuracy the training accuracy is where a network has
learned, and only its answers outside of training are wrong."""


def collapse_text(candidates: Sequence[Candidate], config: Config) -> str:
    """Counts the collapsed candidates and names the likely cause; empty if there are none."""
    done = [candidate for candidate in candidates if candidate.state == "done"]
    collapsed = [candidate for candidate in done if candidate.collapsed]
    if not collapsed:
        return ""
    learned = sum(map(_learned_in_training, collapsed))
    is_statistics = 2 * learned > len(collapsed)
    cause = _of_statistics(config.training) if is_statistics else _of_steps(config.training)
    return (
        f"{len(collapsed)} of {len(done)} trained candidates collapsed: they answer one class for "
        f"nearly all images, or their training loss did not fall. Likely cause: {cause}. "
        "Another setting needs a new run: --fresh, or another --run-dir"
    )


def _learned_in_training(candidate: Candidate) -> bool:
    figures = candidate.metrics
    if not {"accuracy", "val_accuracy"} <= figures.keys():
        return False
    return figures["accuracy"] > figures["val_accuracy"] + LEARNED


def _of_statistics(training: TrainingOptions) -> str:
    return (
        "they learn in training only, as batch normalisation does whose moving averages lag "
        f"behind; give it momentum=0.9 in your model, or train for more than {training.epochs} "
        f"epochs (--set training.epochs={3 * training.epochs})"
    )


def _of_steps(training: TrainingOptions) -> str:
    lower = f"--set training.learning_rate={training.learning_rate / 10:g}"
    adam = f"--set training.optimizer=adam --set training.learning_rate={RATES['adam']:g}"
    other = "" if training.optimizer == "adam" else f", or {adam}"
    return (
        f"a learning rate ({training.learning_rate:g} of {training.optimizer}, unless your models "
        f"are compiled with another one) that is too high ({lower}{other}), or too few epochs "
        f"(--set training.epochs={3 * training.epochs})"
    )
