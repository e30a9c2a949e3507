"""The base class for objectives, and the types of their inputs and results."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from xnas_tf.attribution import attribution_method

if TYPE_CHECKING:
    import keras

    from xnas_tf.attribution.base import AttributionMethod
    from xnas_tf.data import Dataset
    from xnas_tf.data.disk_images import DiskImages
    from xnas_tf.data.watermark import Bug
    from xnas_tf.distributed import Communicator

Direction = Annotated[
    Literal["minimize", "maximize"], Field(description="whether lower or higher values are better")
]


@dataclass(frozen=True)
class Subject:
    """A candidate to score, with this rank's share of the validation split.

    Before training, only the first three attributes are set. The images are shuffled once per run;
    image i of rank r is number r + i * size in the shuffled order.

    Attributes:
        model: The candidate's model.
        communicator: Sums values over the ranks.
        class_names: The class names.
        images: Images, (N, H, W, C), uint8. Images on disk are read when they are indexed.
        labels: The true classes, (N,).
        probabilities: The model's predictions, (N, classes).
        metrics: Training metrics by name: loss, validation loss and compiled metrics.
        shared_models: Models by attribution method. Each gives the same maps as the candidate's
            model, and is shared by many candidates so that it is traced only once.
        masks: (N, H, W), true at pixels that show the class; None if the data have no masks.
        bug: The bug in the training images; None if none was planted.
    """

    model: keras.Model
    communicator: Communicator
    class_names: tuple[str, ...]
    images: np.ndarray | DiskImages = field(
        default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8)
    )
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    metrics: Mapping[str, float] = field(default_factory=dict)
    shared_models: Mapping[AttributionMethod, keras.Model] = field(default_factory=dict)
    masks: np.ndarray | None = None
    bug: Bug | None = None

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def predicted(self) -> np.ndarray:
        """Each image's predicted class, (N,)."""
        return self.probabilities.argmax(axis=1)

    def first(self, count: int) -> Subject:
        """Return the subject with only the first ``count`` images across all ranks."""
        own = slice(len(range(self.communicator.rank, count, self.communicator.size)))
        return replace(
            self,
            images=self.images[own],
            labels=self.labels[own],
            probabilities=self.probabilities[own],
            masks=None if self.masks is None else self.masks[own],
        )

    def gathered(self, values: np.ndarray | DiskImages) -> np.ndarray:
        """Gather the values for all ranks' images, (N, ...), given this rank's values.

        Integers and booleans become int32; floats keep their type.
        """
        rank, size = self.communicator.rank, self.communicator.size
        (count,) = self.communicator.sum(np.array(len(values)))
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.int32)
        own = np.zeros((int(count), *values.shape[1:]), kind)
        own[rank::size] = np.asarray(values)
        return self.communicator.sum(own)[0]


@dataclass(frozen=True)
class ObjectiveValue:
    """An objective's value for one candidate.

    Attributes:
        value: The value.
        metrics: Related metrics to record, by name.
        reason: Explanation of why the value is of limited use, recorded with the candidate.
    """

    value: float
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class Objective(BaseModel):
    """A value to minimise or maximise. Options are fields. Plug-ins subclass this class."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    needs_training: ClassVar[bool] = True
    """False if the value is known before training, so that constraints on it require no
    training."""
    is_measured: ClassVar[bool] = False
    """True if the value differs between measurements of the same model."""
    unit: ClassVar[str] = ""
    """The unit of the value, if it has one."""
    lowest: ClassVar[float] = -math.inf
    """The lowest possible value."""
    highest: ClassVar[float] = math.inf
    """The highest possible value."""

    name: str
    direction: Direction = "minimize"

    def check(self, class_names: tuple[str, ...]) -> None:
        """Validate attribution methods and options that depend on the data set, before training.

        Raises:
            InputError: If a method does not exist, or the options don't fit the data set.
        """
        for name in self.used_methods:
            attribution_method(name)

    def check_dataset(self, dataset: Dataset) -> None:  # noqa: B027, optional
        """Check that the data set has what the objective needs, before any training.

        Raises:
            InputError: If it lacks something, such as masks. The caller adds the section's name.
        """

    def notes(self, class_names: tuple[str, ...]) -> list[str]:
        """Return notes on the options and the data set, which the user sees before a search."""
        return []

    def check_model(self, model: keras.Model) -> None:  # noqa: B027, optional
        """Check that a model can be measured, before it is trained.

        Raises:
            NotApplicable: If it cannot.
        """

    @abstractmethod
    def score(self, subject: Subject) -> ObjectiveValue:
        """Score one candidate; this is called on all of its ranks."""

    @property
    def input_files(self) -> list[str]:
        """Paths of files that affect the values, and so must not change during a run."""
        return []

    @property
    def used_methods(self) -> list[str]:
        """Names of the attribution methods that affect the values."""
        return []

    @property
    def parts(self) -> list[str]:
        """Names of the metrics that make up the value and are shown with it."""
        return []

    @property
    def sign(self) -> int:
        """Factor that turns values into costs: 1 if lower is better, -1 if higher is better."""
        return 1 if self.direction == "minimize" else -1

    @property
    def best(self) -> float:
        """The best possible value."""
        return self.lowest if self.direction == "minimize" else self.highest

    @property
    def worst(self) -> float:
        """The worst possible value."""
        return self.highest if self.direction == "minimize" else self.lowest

    @property
    def label(self) -> str:
        """The name, followed by the unit if there is one."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def heading(self) -> str:
        """The label, with an arrow that points towards better values."""
        return f"{self.label} {'↓' if self.direction == 'minimize' else '↑'}"
