"""What an objective is, and what it may look at."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import keras

    from xnas_tf.distributed import Communicator


@dataclass(frozen=True)
class Subject:
    """A candidate as objectives see it.

    Before training only ``model`` is meaningful. Afterwards ``images`` (N, H, W, C), uint8,
    ``labels`` (N,) and ``probabilities`` (N, classes) are this rank's share of the
    validation part; sums over all ranks go through ``communicator``. The images stand in an
    order shuffled once for the whole run: image i of rank r is number r + i * size.
    """

    model: keras.Model
    communicator: Communicator
    classes: int
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each image, (N,)."""
        return self.probabilities.argmax(axis=1)


@dataclass(frozen=True)
class Score:
    """An objective's value, and the parts it is made of, recorded as metrics."""

    value: float
    metrics: dict[str, float] = field(default_factory=dict)


class Objective(BaseModel):
    """A number with a direction. Options are fields; plug-ins subclass this.

    ``needs_training`` is False for values that the untrained model already has: they are
    computed first, and a constraint on them costs no training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs_training: ClassVar[bool] = True

    name: str
    direction: Literal["minimize", "maximize"] = Field("minimize")

    @abstractmethod
    def score(self, subject: Subject) -> Score:
        """Measures one candidate; called on all of its ranks."""

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is better."""
        return 1 if self.direction == "minimize" else -1
