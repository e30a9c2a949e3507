"""The backend, which trains and queries candidates' models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.candidate import Candidate
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.trainer import Trainer


@dataclass(frozen=True)
class ModelAccess:
    """A model's predictor, and the models to explain in its place (``Subject.shared_models``)."""

    predictor: Predictor
    shared_models: Mapping[AttributionMethod, keras.Model] = field(default_factory=dict)


class Backend:
    """Trains and queries each candidate's own model.

    Subclasses may do so in another way, but with the same results. Saved models can be queried in a
    process without the devices on which candidates are trained and measured.
    """

    note = ""
    """A message for the user; empty if there is none."""

    def trainer(self, candidate: Candidate, model: keras.Model, *arguments: Any) -> Trainer:
        """Create the trainer for a candidate's model; see ``Trainer`` for the other arguments."""
        return Trainer(model, *arguments)

    def predictor(self, model: keras.Model, images: int, times: int) -> Predictor:
        """Create the predictor for a model that is being trained; see ``Predictor``."""
        return Predictor(model, images, times)

    def shared_models(self) -> Mapping[AttributionMethod, keras.Model]:
        """Return the models to explain instead of the trained one, by attribution method."""
        return {}

    def reloaded(self, candidate: Candidate, model: keras.Model, images: int) -> ModelAccess:
        """Return the fastest way to query a saved model; valid until the next call."""
        return ModelAccess(Predictor(model, images))

    def release(self) -> None:
        """Free everything that belongs only to the latest candidate."""
