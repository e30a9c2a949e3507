"""A retraining and what it holds: ``RUN/retrained/30-epochs-1a2b3c4d``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from xnas_tf.config import Config, stored_config
from xnas_tf.errors import InputError
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import CONFIG, Run
from xnas_tf.utils.intervals import accuracy_interval, mean_interval

if TYPE_CHECKING:
    import keras

T = TypeVar("T")
FOLDER = "retrained"
FACTS = "retraining.json"
BASELINE = 0
"""In the place of a candidate's id."""
Interval = list[float]
"""``[low, mean, high]``."""


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """The epoch, from 1, of the highest validation accuracy; among equals of the lowest
    validation loss, and then the first."""
    figures = [(-epoch["val_accuracy"], epoch["val_loss"]) for epoch in history]
    return 1 + figures.index(min(figures))


@dataclass(frozen=True)
class Training:
    """One network trained with one seed.

    Attributes:
        key: The network's name in files.
        title: The network's name for people.
        candidate: The candidate's id; ``BASELINE`` of the baseline.
        genotype: The architecture.
        seed: Seed of initial weights, order of images and augmentation.
        state: ``done`` or ``failed``.
        reason: Why it failed, or what is odd about its values.
        objectives: The objectives' values after the best epoch, on the validation part.
        metrics: Further figures; those of the test part begin with ``test_``.
        history: Figures of each epoch.
        seconds: Time by phase, since the last start.
        versions: Versions of what the result depends on.
        finished: Time of its end, ISO 8601 UTC.
    """

    key: str
    title: str
    candidate: int
    genotype: str
    seed: int
    state: Literal["done", "failed"]
    reason: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    finished: str = ""

    @property
    def name(self) -> str:
        """Its name in files."""
        return training_name(self.key, self.seed)


def network_key(candidate: int, genotype: str) -> str:
    """What the files of a network's trainings begin with; of the baseline, its own text."""
    return genotype if candidate == BASELINE else f"candidate-{candidate:05d}"


def training_name(key: str, seed: int) -> str:
    """What the files of a training are called."""
    return f"{key}-seed-{seed}"


@dataclass(frozen=True)
class Retrained:
    """One network over all seeds with which its training is done.

    Attributes:
        trainings: These trainings, by seed; at least one.
        test_images: Images in the test part.
    """

    trainings: tuple[Training, ...]
    test_images: int

    @property
    def title(self) -> str:
        """The network's name."""
        return self.trainings[0].title

    @property
    def candidate(self) -> int:
        """The candidate's id; ``BASELINE`` of the baseline."""
        return self.trainings[0].candidate

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return int(self.trainings[0].metrics["parameters"])

    @property
    def test_accuracy(self) -> Interval:
        """Over several seeds Student's interval of the mean, of one seed Wilson's over the test
        images; both end at 0 and 1."""
        found = self.over_seeds(lambda training: training.metrics["test_accuracy"])
        if found is None:
            accuracy = self.trainings[0].metrics["test_accuracy"]
            found = accuracy_interval(round(accuracy * self.test_images), self.test_images)
        return [min(1.0, max(0.0, value)) for value in found]

    @property
    def kind(self) -> str:
        """What the interval of the test accuracy is."""
        count = len(self.trainings)
        return f"t, {count} seeds" if count > 1 else f"Wilson, {self.test_images:,} images"

    def mean(self, figure: Callable[[Training], float]) -> float:
        """The mean of a figure over the seeds."""
        return sum(map(figure, self.trainings)) / len(self.trainings)

    def over_seeds(self, figure: Callable[[Training], float]) -> Interval | None:
        """Student's interval of a figure's mean over the seeds; None of a single one."""
        return mean_interval([figure(training) for training in self.trainings])

    def measured(self, name: str) -> dict[str, Any] | None:
        """The mean and interval of an objective, or of what is recorded beside them; None where
        the network has none, as the baseline has no metrics of a HyperModel."""
        if any(name not in {**t.metrics, **t.objectives} for t in self.trainings):
            return None

        def value(training: Training) -> float:
            return {**training.metrics, **training.objectives}[name]

        return {"mean": self.mean(value), "interval": self.over_seeds(value)}

    def as_dict(self, config: Config) -> dict[str, Any]:
        """Everything for programs: intervals as ``[low, mean, high]``.

        Args:
            config: Of the retraining.
        """
        return {
            "model": self.title,
            "candidate": self.candidate or None,
            "genotype": self.trainings[0].genotype,
            "parameters": self.parameters,
            "seeds": [training.seed for training in self.trainings],
            "test_accuracy": self.test_accuracy,
            "interval": self.kind,
            "objectives": {o.name: self.measured(o.name) for o in config.objectives},
            "metrics": {
                c.name: self.measured(c.name)
                for c in measured_columns(config)
                if not c.is_objective
            },
        }


class Retraining:
    """What was trained with one choice of settings, in one folder.

    Args:
        path: The folder.

    Raises:
        InputError: If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: Config = stored_config(path / CONFIG)
        facts = _read(path / FACTS, _Facts)
        self.patience = facts.patience
        self.test_images = facts.test_images

    def trainings(self) -> list[Training]:
        """All trainings that have ended, candidates first, by id and seed.

        Raises:
            InputError: If one cannot be read.
        """
        found = [
            _read(file, Training) for file in (self.path / "results").glob("*.json")
        ]  # drafts begin with a dot
        return sorted(found, key=lambda t: (t.candidate == BASELINE, t.candidate, t.key, t.seed))

    def models(self) -> list[Retrained]:
        """All networks with the trainings that are done, candidates first, by id."""
        by_key: dict[str, list[Training]] = {}
        for training in self.trainings():
            if training.state == "done":
                by_key.setdefault(training.key, []).append(training)
        return [Retrained(tuple(each), self.test_images) for each in by_key.values()]

    def failures(self) -> list[Training]:
        """The trainings that failed, until the same command has trained them after all."""
        return [training for training in self.trainings() if training.state == "failed"]

    def model_path(self, key: str, seed: int) -> Path:
        """Where a training's Keras model is kept."""
        return self.path / "models" / f"{training_name(key, seed)}.keras"

    def load_model(self, training: Training) -> keras.Model:
        """Loads a trained Keras model, in safe mode.

        Raises:
            InputError: If it is not there or cannot be loaded.
        """
        from xnas_tf.explanation.model_loading import load_subject

        return load_subject(self.model_path(training.key, training.seed)).model

    def as_dict(self) -> dict[str, Any]:
        """Everything for programs."""
        return {
            "folder": str(self.path),
            "epochs": self.config.training.epochs,
            "patience": self.patience,
            "test_images": self.test_images,
            "models": [model.as_dict(self.config) for model in self.models()],
            "trainings": [asdict(training) for training in self.trainings()],
        }


def retrainings(run: Run) -> list[Retraining]:
    """What was trained in full of a run, one for each choice of settings, by folder."""
    folders = sorted((run.path / FOLDER).glob("*-epochs-*"))
    return [Retraining(folder) for folder in folders if (folder / FACTS).is_file()]


@dataclass(frozen=True)
class _Facts:
    """What ``FACTS`` holds; see ``Retrained`` and ``Settings``."""

    patience: int
    test_images: int


def _read(file: Path, kind: Callable[..., T]) -> T:
    """What a file holds of that kind."""
    try:
        return kind(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
