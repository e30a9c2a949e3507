"""How candidates are trained: each model by itself, or all of them through a supernet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.candidate import Candidate
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.trainer import Trainer


@dataclass(frozen=True)
class ModelAccess:
    """What predicts with a model, and what is explained in its place.

    Attributes:
        predictor: Predicts with the model.
        stand_ins: See ``Subject.stand_ins``.
    """

    predictor: Predictor
    stand_ins: Mapping[AttributionMethod, keras.Model] = field(default_factory=dict)


class Backend(Protocol):
    """Makes what trains and queries a candidate's model. Values do not depend on which it is."""

    note: str
    """What users should know of it; empty for nothing."""

    def trainer(self, candidate: Candidate, model: keras.Model, *arguments: Any) -> Trainer:
        """Make a trainer of a candidate's model; see ``Trainer`` for the other arguments."""

    def predictor(self, model: keras.Model, images: int, times: int) -> Predictor:
        """Make what predicts with the model while it is trained; see ``Predictor``."""

    def stand_ins(self) -> Mapping[AttributionMethod, keras.Model]:
        """Return the models to explain in place of the trained one, by attribution method."""

    def reloaded(self, candidate: Candidate, model: keras.Model, images: int) -> ModelAccess:
        """Return the fastest way to query a model that was saved, valid until the next one.

        Args:
            candidate: The candidate.
            model: Its model, trained.
            images: How many images it will predict.
        """

    def release(self) -> None:
        """Free what belongs to the latest candidate alone."""


class SeparateModels:
    """Trains and queries each candidate's own model."""

    note = ""

    def trainer(self, candidate: Candidate, model: keras.Model, *arguments: Any) -> Trainer:
        """See ``Backend.trainer``."""
        return Trainer(model, *arguments)

    def predictor(self, model: keras.Model, images: int, times: int) -> Predictor:
        """See ``Backend.predictor``."""
        return Predictor(model, images, times)

    def stand_ins(self) -> Mapping[AttributionMethod, keras.Model]:
        """See ``Backend.stand_ins``."""
        return {}

    def reloaded(self, candidate: Candidate, model: keras.Model, images: int) -> ModelAccess:
        """See ``Backend.reloaded``."""
        return ModelAccess(Predictor(model, images))

    def release(self) -> None:
        """See ``Backend.release``."""
