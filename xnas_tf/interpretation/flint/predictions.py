"""Predictions of a predictor and its interpreter, with metrics (arXiv 2010.09345, section 4).

All metrics are defined: if an image activates no attribute, every attribute's relevance is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.stats import rankdata

from xnas_tf.data import Split
from xnas_tf.data.batches import shard
from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.feature_taps import concrete
from xnas_tf.interpretation.flint.interpreter import InterpretedModel
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.utils.heartbeat import report_progress

BATCH = 250
"""Batch size for predictions."""
TAUS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Thresholds 1/τ at which the paper measures conciseness."""
TAU = TAUS[-1]
"""The τ that is used where a single value is reported."""


@dataclass(frozen=True)
class InterpreterPredictions:
    """Predictions for N images, with their metrics."""

    labels: np.ndarray  # the true classes, (N,)
    predictor: np.ndarray  # the classes predicted by f, (N,)
    interpreter: np.ndarray  # the classes predicted by g, (N,)
    ranks: np.ndarray  # the rank of f's class in g's logits, from 0, (N,)
    attributes: np.ndarray  # Φ, (N, J)
    weights: np.ndarray  # W of g, (J, classes)

    @property
    def accuracies(self) -> tuple[float, float]:
        """The accuracies of f and g."""
        return (
            float((self.predictor == self.labels).mean()),
            float((self.interpreter == self.labels).mean()),
        )

    @property
    def agrees(self) -> np.ndarray:
        """Whether f and g predict the same class, (N,)."""
        return self.predictor == self.interpreter

    def fidelity(self, top: int = 1) -> float | None:
        """Compute the share of images for which f's class is among g's ``top`` classes.

        The result is None if there are at most ``top`` classes.
        """
        return float((self.ranks < top).mean()) if top < self.weights.shape[1] else None

    def contributions(self, classes: np.ndarray) -> np.ndarray:
        """Compute α = φ_j(x) · w_{j,c}, the attributes' contributions to the logit of class c."""
        return self.attributes * self.weights[:, classes].T

    @cached_property
    def relevance(self) -> np.ndarray:
        """r_{j,x} = α_j / max_i |α_i| for the classes predicted by g, (N, J), in [-1, 1].

        The relevance is 0 where all contributions are 0. The published code divides by the signed
        maximum, which reverses all signs if no contribution is positive.
        """
        alpha = self.contributions(self.interpreter)
        largest = np.abs(alpha).max(axis=1, keepdims=True)
        return np.divide(alpha, largest, out=np.zeros_like(alpha), where=largest > 0)

    @cached_property
    def class_relevance(self) -> np.ndarray:
        """r_{j,c}, the mean of r_{j,x} over the images that g assigns to class c, (classes, J).

        Rows for classes that g never predicts are NaN.
        """
        means = np.full(self.weights.T.shape, np.nan)
        for number in np.unique(self.interpreter):
            means[number] = self.relevance[self.interpreter == number].mean(axis=0)
        return means

    def is_relevant(self, tau: float) -> np.ndarray:
        """Return whether each attribute is relevant to each image: r_{j,x} > 1/τ, (N, J)."""
        return self.relevance > 1 / tau

    def use(self, tau: float) -> np.ndarray:
        """Compute the share of images to which each attribute is relevant, (J,)."""
        return self.is_relevant(tau).mean(axis=0)

    def conciseness(self, tau: float) -> float:
        """Compute CNS(τ), the mean number of attributes relevant to an image."""
        return float(self.is_relevant(tau).sum(axis=1).mean())

    def strict_conciseness(self, tau: float) -> float:
        """Compute a variant of CNS(τ) that penalises images whose predictions are not explained.

        All J attributes count for an image to which none is relevant, or for which g and f predict
        different classes. Attributes that are always 0 therefore get the worst score.
        """
        counts = self.is_relevant(tau).sum(axis=1)
        return float(np.where((counts > 0) & self.agrees, counts, len(self.weights)).mean())

    @property
    def unexplained(self) -> float:
        """The share of images for which no attribute contributes to the predicted class."""
        return float((self.relevance.max(axis=1) <= 0).mean())

    def as_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON values."""
        predictor, interpreter = self.accuracies
        use = self.use(TAU)
        return {
            "accuracy": {"f": predictor, "g": interpreter},
            "fidelity": {"top1": self.fidelity(), "top5": self.fidelity(5)},
            "conciseness": {f"{tau:g}": self.conciseness(tau) for tau in TAUS},
            "strict_conciseness": self.strict_conciseness(TAU),
            "unexplained": self.unexplained,
            "attribute_use": use.tolist(),
            "unused_attributes": int((use == 0).sum()),
            "attribute_means": self.attributes.mean(axis=0).tolist(),
        }


def answers(
    model: InterpretedModel, part: Split, communicator: Communicator
) -> InterpreterPredictions:
    """Compute predictions for a split; each rank computes a share and returns the full result."""
    shared = shard(len(part), communicator.rank, communicator.size)
    own = _predict(model, selected(part.images, shared))
    rows = np.zeros((len(part), own.shape[1]))
    rows[shared] = own
    (rows,) = communicator.sum(rows)
    predictor, interpreter, ranks = rows[:, :3].T.astype(np.int64)
    weights = np.asarray(model.linear.kernel, np.float64)
    return InterpreterPredictions(part.labels, predictor, interpreter, ranks, rows[:, 3:], weights)


def _predict(model: InterpretedModel, images: np.ndarray | DiskImages) -> np.ndarray:
    """Return a row per image: f's class, g's class, the rank of f's class in g's logits, and Φ."""
    spec = tf.TensorSpec((None, *model.image_shape), tf.uint8)
    look = concrete(model.predictor, lambda batch: model.look(to_model_input(batch))[:3], spec)
    rows = [np.zeros((0, 3 + model.settings.attributes))]
    for start in range(0, len(images), BATCH):
        outputs = look(tf.constant(images[start : start + BATCH]))
        predictor_logits, attributes, logits = (output.numpy() for output in outputs)
        predictor = predictor_logits.argmax(axis=1)
        ranks = ranks_in(logits, predictor)
        rows.append(np.column_stack([predictor, logits.argmax(axis=1), ranks, attributes]))
        report_progress()
    return np.concatenate(rows)


def ranks_in(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Compute the rank, from 0, of a class (N,) in each row of logits (N, classes).

    Among equal logits, the lowest class index ranks first, as in ``argmax``.
    """
    return rankdata(-logits, "ordinal", axis=1)[np.arange(len(logits)), classes] - 1
