"""Predictions of predictor and interpreter on held-out images, and the metrics they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from xnas_tf.data import Split
from xnas_tf.data.batches import shard
from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.flint import metrics
from xnas_tf.interpretation.flint.interpreter import (
    InterpretableModel,
    Interpreter,
    InterpreterOutputs,
)
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.utils.heartbeat import report_progress

BATCH = 250
"""Batch size of the predictions."""


@dataclass(frozen=True)
class InterpreterPredictions:
    """Predictions for N images.

    Attributes:
        labels: The true classes, (N,).
        predictor: The classes predicted by f, (N,).
        interpreter: The classes predicted by g, (N,).
        ranks: The rank of f's class in g's logits, from 0, (N,).
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
        """The accuracies of f and of g."""
        return (
            float((self.predictor == self.labels).mean()),
            float((self.interpreter == self.labels).mean()),
        )

    @property
    def accuracy(self) -> Accuracy:
        """The accuracy of f."""
        return Accuracy.of(self.predictor, self.labels)

    @property
    def agrees(self) -> np.ndarray:
        """Whether f and g predict the same class, (N,)."""
        return self.predictor == self.interpreter

    def fidelity(self, top: int = 1) -> float | None:
        """Compute the share of images whose class by f is among the ``top`` classes of g.

        None if there are no more classes than that.
        """
        return metrics.fidelity(self.ranks, top) if top < self.classes else None

    @cached_property
    def relevance(self) -> np.ndarray:
        """r_{j,x} for the classes predicted by g, (N, J)."""
        return metrics.relevances(self.attributes, self.weights, self.interpreter)

    @cached_property
    def class_relevance(self) -> np.ndarray:
        """r_{j,c}, (classes, J); NaN in the rows of classes that g never predicts."""
        return metrics.class_relevances(self.relevance, self.interpreter, self.classes)

    @property
    def unexplained(self) -> float:
        """The share of images to whose predicted class no attribute contributes."""
        return float((self.relevance.max(axis=1) <= 0).mean())

    def use(self, tau: float) -> np.ndarray:
        """Compute the share of images to which each attribute is relevant, r_{j,x} > 1/τ, (J,)."""
        return (self.relevance > 1 / tau).mean(axis=0)


def answers(
    model: Interpreter | InterpretableModel, part: Split, communicator: Communicator
) -> InterpreterPredictions:
    """Predict a split; each rank computes its share, and all ranks return all predictions.

    Args:
        model: The model.
        part: All images, the same on every rank.
        communicator: The ranks.
    """
    shared = shard(len(part), communicator.rank, communicator.size)
    own = _predict(model, selected(part.images, shared))
    rows = np.zeros((len(part), own.shape[1]))
    rows[shared] = own
    (rows,) = communicator.sum(rows)
    predictor, interpreter, ranks = rows[:, :3].T.astype(np.int64)
    weights = np.asarray(model.linear.kernel, np.float64)
    return InterpreterPredictions(part.labels, predictor, interpreter, ranks, rows[:, 3:], weights)


def _predict(
    model: Interpreter | InterpretableModel, images: np.ndarray | DiskImages
) -> np.ndarray:
    """Return a row for each image: f's class, g's class, the former's rank in g's logits, then Φ.

    Args:
        model: The model.
        images: (N, H, W, C), uint8.
    """
    look = _trace_look(model)
    rows = []
    for start in range(0, len(images), BATCH):
        batch = tf.constant(images[start : start + BATCH])
        outputs = InterpreterOutputs(*(output.numpy() for output in look(batch)))
        predictor = outputs.predictor.argmax(axis=1)
        interpreter = outputs.interpreter.argmax(axis=1)
        ranks = metrics.ranks_in(outputs.interpreter, predictor)
        rows.append(np.column_stack([predictor, interpreter, ranks, outputs.attributes]))
        report_progress()
    return np.concatenate(rows) if rows else np.zeros((0, 3 + model.settings.attributes))


def _trace_look(
    model: Interpreter | InterpretableModel,
) -> Callable[[tf.Tensor], InterpreterOutputs]:
    """Trace ``model.look`` as a function of uint8 images (B, H, W, C)."""
    spec = tf.TensorSpec((None, *model.image_shape), tf.uint8)
    with freed_custom_gradients():
        look = tf.function(lambda images: model.look(to_model_input(images)), autograph=False)
        return look.get_concrete_function(spec)
