"""Introspectability: how differently a network represents different classes.

Carmichael, Moon & Jacobs, arXiv 2112.08645: with the mean representation of each predicted
class, the mean over class pairs of one minus the cosine of their angle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from xnas_tf.objectives.base import Objective, Score, Subject

if TYPE_CHECKING:
    pass

Source = Literal["grad_cam", "integrated_gradients", "activations"]
BATCH = 64
"""Images at a time: bounds the memory of attributions and activations."""


class Introspectability(Objective):
    """Mean distance of the class-mean representations, in [0, 2]; more is better.

    The representation is an attribution map over the input (``grad_cam``,
    ``integrated_gradients``) or the concatenated outputs of all convolution and activation
    layers (``activations``, the XNAS paper's). With several sources it is the mean of
    theirs, each recorded as ``introspectability/SOURCE``.
    """

    name: Literal["introspectability"] = "introspectability"
    direction: Literal["minimize", "maximize"] = "maximize"
    sources: tuple[Source, ...] = Field(("grad_cam", "integrated_gradients"), min_length=1)
    images: int = Field(128, ge=2, description="validation images looked at, at most")
    steps: int = Field(8, ge=1, description="of integrated gradients")

    @field_validator("sources")
    @classmethod
    def _different(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if len(set(sources)) < len(sources):
            raise ValueError(f"the same source is given twice: {', '.join(sources)}")
        return sources

    def score(self, subject: Subject) -> Score:
        """See ``Objective.score``; class sums are added up over the ranks, then compared."""
        share = len(range(subject.communicator.rank, self.images, subject.communicator.size))
        images = subject.images[:share]
        predicted = subject.predicted[:share]
        counts = subject.communicator.sum(
            np.bincount(predicted, minlength=subject.classes).astype(np.float64)
        )[0]
        parts = {}
        for source in self.sources:
            gram = self._gram(source, subject, images, predicted)
            parts[f"{self.name}/{source}"] = class_distance(gram, counts > 0)
        metrics = {**parts, f"{self.name}/predicted_classes": float(np.count_nonzero(counts))}
        return Score(float(np.mean(list(parts.values()))), metrics)

    def _gram(
        self, source: Source, subject: Subject, images: np.ndarray, predicted: np.ndarray
    ) -> np.ndarray:
        """The inner products of the class means, (classes, classes), up to each class's scale."""
        import tensorflow as tf

        from xnas_tf.data.preprocessing import to_model_input

        represent = self._represent(source, subject.model)

        @tf.function
        def class_sums(batch: tf.Tensor, one_hot: tf.Tensor) -> list[tf.Tensor]:
            outputs = represent(to_model_input(batch))
            flat = (tf.reshape(a, (tf.shape(a)[0], -1)) for a in outputs)
            return [tf.matmul(one_hot, tf.cast(a, tf.float32), transpose_a=True) for a in flat]

        one_hot = np.eye(subject.classes, dtype=np.float32)[predicted]
        totals: list[tf.Tensor] | None = None
        for start in range(0, max(len(images), 1), BATCH):
            rows = slice(start, start + BATCH)
            sums = class_sums(tf.constant(_pad(images[rows])), tf.constant(_pad(one_hot[rows])))
            totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums
        sums = subject.communicator.sum(*(total.numpy().astype(np.float64) for total in totals))
        return sum((layer @ layer.T for layer in sums), np.zeros((subject.classes,) * 2))

    def _represent(self, source: Source, model):
        """Images -> list of representations, to be concatenated."""
        from xnas_tf import attribution

        if source == "activations":
            return attribution.activations(model)
        if source == "grad_cam":
            maps = attribution.GradCAM(model)
        else:
            maps = attribution.IntegratedGradients(model, self.steps)
        return lambda batch: [maps(batch)]


def _pad(rows: np.ndarray) -> np.ndarray:
    """Fills a last batch up with zeros, so that one trace serves all. A zero row of the
    one-hot classes belongs to no class and adds nothing."""
    return np.pad(rows, [(0, BATCH - len(rows))] + [(0, 0)] * (rows.ndim - 1))


def class_distance(gram: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over pairs of classes of one minus the cosine of their mean representations.

    Args:
        gram: Inner products of the class means, (classes, classes). A class's scale doesn't
            matter, so sums serve as well as means.
        predicted: Which classes were predicted at all, (classes,): only they count.

    Returns:
        A number in [0, 2]; 0 with fewer than two predicted classes. A predicted class whose
        mean is all zero has no direction, and its pairs count as 0: no explanation is no
        difference. NaN stays NaN.
    """
    if not np.isfinite(gram).all():
        return float("nan")
    if np.count_nonzero(predicted) < 2:
        return 0.0
    gram = gram[np.ix_(predicted, predicted)]
    scale = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    cosine = np.divide(gram, scale, out=np.ones_like(gram), where=scale > 0)
    upper = np.triu_indices(len(gram), k=1)
    return float(np.mean(1 - np.clip(cosine[upper], -1, 1)))
