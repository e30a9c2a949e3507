"""Fidelity and conciseness of an interpreter (FLINT) that is trained briefly on a candidate."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.data import Dataset, Split
from xnas_tf.errors import InputError, RunError
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    from xnas_tf.interpretation.flint.predictions import InterpreterPredictions

TRAINING_SHARE = 0.75
"""Share of the images on which the interpreter is trained; the rest is used to evaluate it."""


class _InterpreterObjective(Objective):
    """A metric of a post-hoc interpreter, which doesn't change the candidate."""

    images: int = Field(
        640,
        ge=8,
        description="maximum number of validation images; the interpreter is trained on three "
        "quarters of them",
    )
    epochs: int = Field(15, ge=1, description="number of passes over these images")
    attributes: int = Field(16, ge=1, description="number of attributes of the interpreter")
    rate: float = Field(0.003, gt=0, description="learning rate")
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="names or patterns of the layers from which attributes are computed; by "
        "default, the last blocks",
    )
    seed: int = Field(
        0, ge=0, description="seed for the initial weights and for the order of the images"
    )

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; gradients are summed over the ranks before each step."""
        subject = subject.first(self.images)
        images = subject.gathered(subject.images).astype(np.uint8)
        labels = subject.gathered(subject.labels)
        if len(labels) < 2:
            reason = f"{self.name}: {len(labels)} validation images; at least 2 are needed"
            return ObjectiveValue(self._worst, {}, reason)
        try:
            predictions = self._predictions(subject, images, labels)
        except (InputError, RunError) as error:
            return ObjectiveValue(float("nan"), {}, f"{self.name}: the interpreter: {error}")
        if not np.isfinite(predictions.attributes).all():
            return ObjectiveValue(float("nan"), {}, f"{self.name}: attributes are not finite")
        constant = np.bincount(predictions.predictor).max() / len(predictions.labels)
        metrics = {
            f"{self.name}/agreement": float(predictions.agrees.mean()),
            f"{self.name}/constant": float(constant),
            f"{self.name}/silent": predictions.unexplained,
        }
        value = self._value(predictions)
        return replace(value, metrics=metrics | value.metrics)

    @property
    def _worst(self) -> float:
        """The value of a candidate that cannot be interpreted."""
        return 0.0

    @abstractmethod
    def _value(self, predictions: InterpreterPredictions) -> ObjectiveValue:
        """Return the objective's value, and the metrics that only this objective records."""

    def _predictions(
        self, subject: Subject, images: np.ndarray, labels: np.ndarray
    ) -> InterpreterPredictions:
        """Train an interpreter, and return its predictions for held-out images."""
        from xnas_tf.interpretation.flint.interpreter import Interpreter
        from xnas_tf.interpretation.flint.predictions import answers
        from xnas_tf.interpretation.flint.training import learn

        count = max(1, int(TRAINING_SHARE * len(labels)))
        train = Split(images[:count], labels[:count])
        held_out = Split(images[count:], labels[count:])
        data = Dataset("validation", subject.class_names, train, held_out, held_out)
        model = Interpreter(subject.model, self.attributes, self.layers, seed=self.seed)
        model.build((None, *images.shape[1:]))
        ranks = subject.communicator
        learn(model, data, self.epochs, self.rate, self.seed, ranks)
        return answers(model, held_out, ranks)


class Fidelity(_InterpreterObjective):
    """Agreement between an interpreter's predictions and the candidate's; higher is better.

    The agreement is in [0, 1]. The interpreter (FLINT, arXiv 2010.09345) is a linear classifier on
    a few non-negative attributes. The interpreter is trained post-hoc on the candidate's last
    layers with validation images, and evaluated on other validation images. This objective is a
    quick estimate, whereas `xnas-tf interpret` trains for longer, and on the training split. The
    agreement that a constant prediction could reach (`constant`) and the share of images without a
    relevant attribute (`silent`) are also recorded.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    name: Literal["fidelity"] = "fidelity"
    direction: Direction = "maximize"

    def _value(self, predictions: InterpreterPredictions) -> ObjectiveValue:
        return ObjectiveValue(float(predictions.agrees.mean()))


class Conciseness(_InterpreterObjective):
    """Number of attributes that an interpreter uses to explain an image; lower is better.

    The value is the mean number of attributes whose relevance exceeds 1/τ (CNS, arXiv 2010.09345),
    with the same interpreter as for `fidelity`. An image is not explained if it has no relevant
    attribute, or if the interpreter's prediction differs from the candidate's. All attributes are
    counted for unexplained images, so an interpreter that explains nothing gets the worst value.
    The plain mean (`cns`), the agreement with the candidate and the metrics of `fidelity` are also
    recorded.
    """

    lowest: ClassVar[float] = 0.0
    name: Literal["conciseness"] = "conciseness"
    tau: float = Field(5.0, gt=1, description="τ; 1.5 to 5 in the paper")

    @property
    def _worst(self) -> float:
        return float(self.attributes)

    def _value(self, predictions: InterpreterPredictions) -> ObjectiveValue:
        value = predictions.strict_conciseness(self.tau)
        reason = f"{self.name}: the interpreter explains no image" if value == self._worst else ""
        metrics = {f"{self.name}/cns": predictions.conciseness(self.tau)}
        return ObjectiveValue(value, metrics, reason)
