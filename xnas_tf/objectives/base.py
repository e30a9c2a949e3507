"""What an objective is, and what it may look at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import keras

    from xnas_tf.attribution.base import AttributionMethod
    from xnas_tf.distributed import Communicator


@dataclass(frozen=True)
class Subject:
    """A candidate as objectives see it.

    Before training only ``model`` is meaningful. Afterwards ``images`` (N, H, W, C), uint8,
    ``labels`` (N,) and ``probabilities`` (N, classes) are this rank's share of the
    validation part; sums over all ranks go through ``communicator``. The images stand in an
    order shuffled once for the whole run: image i of rank r is number r + i * size. ``figures``
    are those of its training by name: loss, validation loss, metrics that it was compiled with.
    ``stand_ins`` are, by attribution method, models with the same maps that serve many
    candidates: what is traced for them is traced once.
    """

    model: keras.Model
    communicator: Communicator
    class_names: tuple[str, ...]
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    figures: Mapping[str, float] = field(default_factory=dict)
    stand_ins: Mapping[AttributionMethod, keras.Model] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each image, (N,)."""
        return self.probabilities.argmax(axis=1)


@dataclass(frozen=True)
class ObjectiveValue:
    """An objective's value, the parts it is made of, recorded as metrics, and what is odd
    about it, recorded as the candidate's reason."""

    value: float
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class Objective(BaseModel):
    """A number with a direction. Options are fields; plug-ins subclass this.

    ``needs_training`` is False for values that the untrained model already has: they are
    computed first, and a constraint on them costs no training. ``is_measured`` is True for
    values that differ from one measurement to the next.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    needs_training: ClassVar[bool] = True
    is_measured: ClassVar[bool] = False

    name: str
    direction: Literal["minimize", "maximize"] = Field("minimize")

    def check(self, class_names: tuple[str, ...]) -> None:  # noqa: B027, most need none
        """Checks, before anything is trained, what depends on the data set.

        Raises:
            InputError: If the options don't fit it.
        """

    @abstractmethod
    def score(self, subject: Subject) -> ObjectiveValue:
        """Measures one candidate; called on all of its ranks."""

    @property
    def parts(self) -> list[str]:
        """Names of the metrics that are shown beside the value, as what it is made of."""
        return []

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is better."""
        return 1 if self.direction == "minimize" else -1
