"""Fidelity and conciseness of an interpreter that is trained briefly on a candidate (FLINT)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, RunError
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    from xnas_tf.interpretation.flint.evaluation import InterpreterPredictions

LEARNED = 0.75
"""Share of the images that the interpreter learns from; the others are answered."""


class _OfInterpreter(Objective):
    """What interpreters are judged by. The candidate stays as it is: they are post-hoc."""

    images: int = Field(
        640, ge=8, description="validation images used, at most; it learns from three quarters"
    )
    epochs: int = Field(15, ge=1, description="passes over them")
    attributes: int = Field(16, ge=1, description="how many the interpreter may use")
    rate: float = Field(0.003, gt=0, allow_inf_nan=False, description="learning rate")
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="layers attributes are made from, names or patterns; else the last blocks",
    )
    seed: int = Field(0, ge=0, description="of initial weights and of the order of the images")

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; gradients are added up over the ranks before each step."""
        images, labels = self._of_all_ranks(subject)
        if len(labels) < 2:
            return self._worst(f"{self.name}: {len(labels)} validation images, 2 are needed")
        try:
            found = self._interpreted(subject, images, labels)
        except (InputError, RunError) as error:
            return ObjectiveValue(float("nan"), {}, f"{self.name}: the interpreter: {error}")
        if not np.isfinite(found.attributes).all():
            return ObjectiveValue(float("nan"), {}, f"{self.name}: attributes are not finite")
        most = float(np.bincount(found.predictor).max() / len(found.labels))
        metrics = {"agreement": found.fidelity(), "constant": most, "silent": found.unexplained}
        return self._judged(found, {f"{self.name}/{key}": n for key, n in metrics.items()})

    @abstractmethod
    def _judged(self, found: InterpreterPredictions, metrics: dict[str, float]) -> ObjectiveValue:
        """The score of these answers, with what is recorded of all interpreters."""

    @abstractmethod
    def _worst(self, reason: str) -> ObjectiveValue:
        """The score of a candidate that cannot be interpreted."""

    def _interpreted(
        self, subject: Subject, images: np.ndarray, labels: np.ndarray
    ) -> InterpreterPredictions:
        from xnas_tf.data import Dataset, Split
        from xnas_tf.interpretation.flint.evaluation import answers
        from xnas_tf.interpretation.flint.interpreter import Interpreter
        from xnas_tf.interpretation.flint.training import learn

        first = max(1, int(LEARNED * len(labels)))
        learned, others = (
            Split(images[rows], labels[rows]) for rows in (slice(first), slice(first, None))
        )
        data = Dataset("validation", subject.class_names, learned, others, others)
        model = Interpreter(subject.model, self.attributes, self.layers, seed=self.seed)
        model.build((None, *images.shape[1:]))
        batch, ranks = model.settings.batch, subject.communicator
        learn(model, data, self.epochs, batch, self.rate, self.seed, ranks)
        return answers(model, others, ranks)

    def _of_all_ranks(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """The images that are used, and their labels, on every rank."""
        ranks = subject.communicator
        share = len(range(ranks.rank, self.images, ranks.size))
        own, labels = subject.images[:share], subject.labels[:share]
        sizes = np.zeros((ranks.size, 4), np.int64)
        sizes[ranks.rank] = len(own), *(own.shape[1:] if len(own) else (0, 0, 0))
        (sizes,) = ranks.sum(sizes)
        total = int(sizes[:, 0].sum())
        images = np.zeros((total, *sizes[:, 1:].max(axis=0)), np.int32)
        everyones = np.zeros(total, np.int32)
        if len(own):
            images[ranks.rank :: ranks.size] = own
            everyones[ranks.rank :: ranks.size] = labels
        images, everyones = ranks.sum(images, everyones)
        return images.astype(np.uint8), everyones.astype(np.int32)


class Fidelity(_OfInterpreter):
    """How often an interpreter answers as the candidate does, in [0, 1]; more is better.

    The interpreter (FLINT, arXiv 2010.09345) is a linear classifier on a few non-negative
    attributes, learned post-hoc from the candidate's last layers on validation images, and
    measured on others. A quick estimate: `xnas-tf interpret` learns from the training part and
    longer. Recorded besides: the share of images that one answer for all would get right
    (constant), and of those to which no attribute is relevant (silent).
    """

    name: Literal["fidelity"] = "fidelity"
    direction: Literal["minimize", "maximize"] = "maximize"

    def _judged(self, found: InterpreterPredictions, metrics: dict[str, float]) -> ObjectiveValue:
        return ObjectiveValue(found.fidelity(), metrics)

    def _worst(self, reason: str) -> ObjectiveValue:
        return ObjectiveValue(0.0, {}, reason)


class Conciseness(_OfInterpreter):
    """How many attributes an interpreter needs to explain an image; less is better.

    The mean number of attributes whose relevance is above 1/τ (CNS, arXiv 2010.09345), of an
    interpreter as for `fidelity`. An image to which no attribute is relevant, or that the
    interpreter answers otherwise than the candidate, is not explained: it counts all attributes,
    so that an interpreter that says nothing is the worst. Recorded besides: the plain mean (cns),
    the agreement with the candidate, and what `fidelity` records.
    """

    name: Literal["conciseness"] = "conciseness"
    tau: float = Field(5.0, gt=1, description="τ; the paper's are 1.5 to 5", allow_inf_nan=False)

    def _judged(self, found: InterpreterPredictions, metrics: dict[str, float]) -> ObjectiveValue:
        from xnas_tf.interpretation.flint.metrics import conciseness, strict_conciseness

        (plain,) = conciseness(found.relevance, [self.tau])
        value = strict_conciseness(found.relevance, found.agrees, self.tau)
        reason = ""
        if value == self.attributes:
            reason = f"{self.name}: the interpreter explains no image"
        return ObjectiveValue(value, {**metrics, f"{self.name}/cns": plain}, reason)

    def _worst(self, reason: str) -> ObjectiveValue:
        return ObjectiveValue(float(self.attributes), {}, reason)
