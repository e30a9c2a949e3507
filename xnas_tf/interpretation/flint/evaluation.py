"""What predictor and interpreter answer on held-out images, and the figures that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from xnas_tf.data import Split
from xnas_tf.data.batches import shard
from xnas_tf.data.disk_images import Rows, selected
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.flint import metrics
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter, Seen
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import forgotten_custom_gradients
from xnas_tf.training.accuracy import Accuracy
from xnas_tf.utils.heartbeat import beat

BATCH = 250
"""Images at a time."""


@dataclass(frozen=True)
class InterpreterPredictions:
    """Answers on N images.

    Attributes:
        labels: The right classes, (N,).
        predictor: The classes that f answers, (N,).
        interpreter: The classes that g answers, (N,).
        ranks: The place of f's answer among g's, from 0, (N,).
        attributes: Φ, (N, J).
        weights: W of g, (J, classes).
    """

    labels: np.ndarray
    predictor: np.ndarray
    interpreter: np.ndarray
    ranks: np.ndarray
    attributes: np.ndarray
    weights: np.ndarray

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.weights.shape[1]

    @property
    def accuracies(self) -> tuple[float, float]:
        """Of f and of g."""
        both = self.predictor, self.interpreter
        return tuple(float((each == self.labels).mean()) for each in both)

    @property
    def accuracy(self) -> Accuracy:
        """Of f."""
        return Accuracy.of(self.predictor, self.labels)

    @property
    def agrees(self) -> np.ndarray:
        """Whether g answers as f does, (N,)."""
        return self.predictor == self.interpreter

    def fidelity(self, top: int = 1) -> float | None:
        """The share of images whose answer by f is among the ``top`` of g's; None where all
        classes are."""
        return metrics.fidelity(self.ranks, top) if top < self.classes else None

    @cached_property
    def relevance(self) -> np.ndarray:
        """r_{j,x} for g's answers, (N, J)."""
        return metrics.relevances(self.attributes, self.weights, self.interpreter)

    @cached_property
    def class_relevance(self) -> np.ndarray:
        """r_{j,c}, (classes, J); NaN in the rows of classes that g never answers."""
        return metrics.class_relevances(self.relevance, self.interpreter, self.classes)

    @property
    def unexplained(self) -> float:
        """The share of images to which no attribute is relevant: none speaks for the answer."""
        return float((self.relevance.max(axis=1) <= 0).mean())

    def use(self, tau: float) -> np.ndarray:
        """To which share of the images each attribute is relevant, r_{j,x} > 1/τ, (J,)."""
        return (self.relevance > 1 / tau).mean(axis=0)


def answers(
    model: Interpreter | InterpretableModel, part: Split, communicator: Communicator
) -> InterpreterPredictions:
    """Shows images to a model; each rank looks at its share, and all get all answers.

    Args:
        model: The model.
        part: All images, the same on every rank.
        communicator: The ranks.
    """
    mine = shard(len(part), communicator.rank, communicator.size)
    own = own_answers(model, selected(part.images, mine))
    everything = np.zeros((len(part), own.shape[1]))
    everything[mine] = own
    (everything,) = communicator.sum(everything)
    return of_rows(model, everything, part.labels)


def own_answers(model: Interpreter | InterpretableModel, images: np.ndarray | Rows) -> np.ndarray:
    """A row for each image: f's class, g's class, the rank of the one in the other, then Φ.

    Args:
        model: The model.
        images: (N, H, W, C), uint8.
    """
    look = traced(model, model.look)
    rows = []
    for start in range(0, len(images), BATCH):
        seen = Seen(*(each.numpy() for each in look(tf.constant(images[start : start + BATCH]))))
        predicted = seen.predictor.argmax(axis=1)
        facts = (
            predicted,
            seen.interpreter.argmax(axis=1),
            metrics.ranks_in(seen.interpreter, predicted),
        )
        rows.append(np.column_stack([*facts, seen.attributes]))
        beat()
    return np.concatenate(rows) if rows else np.zeros((0, 3 + model.settings.attributes))


def of_rows(
    model: Interpreter | InterpretableModel, rows: np.ndarray, labels: np.ndarray
) -> InterpreterPredictions:
    """Answers from the rows of ``own_answers``, of whichever ranks."""
    predictor, interpreter, ranks = rows[:, :3].T.astype(np.int64)
    weights = np.asarray(model.linear.kernel, np.float64)
    return InterpreterPredictions(labels, predictor, interpreter, ranks, rows[:, 3:], weights)


def traced(model: Interpreter | InterpretableModel, function: Callable) -> Callable:
    """A function of images in [0, 1], traced as one of uint8 images (B, H, W, C)."""
    spec = tf.TensorSpec((None, *model.image_shape), tf.uint8)
    with forgotten_custom_gradients():
        made = tf.function(lambda images: function(to_model_input(images)), autograph=False)
        return made.get_concrete_function(spec)
