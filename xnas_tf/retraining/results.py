"""Reads the results of a retraining from ``RUN/retrained/30-epochs-1a2b3c4d``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config, load_stored_config
from xnas_tf.errors import InputError
from xnas_tf.interpretation.drawing import BLUE, GREY, new_figure, set_title
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import Run, load_run
from xnas_tf.storage.run_directory import CONFIG
from xnas_tf.utils.argument_types import PATH, check_types
from xnas_tf.utils.intervals import accuracy_interval, mean_interval
from xnas_tf.utils.markup import page_html, short_repr, table_html
from xnas_tf.utils.number_format import counted, format_value, percent_text

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

T = TypeVar("T")
FOLDER = "retrained"
FACTS = "retraining.json"
BASELINE = 0
"""Used in place of a candidate's id."""
Interval = list[float]
"""``[low, mean, high]``."""


@dataclass(frozen=True)
class Training:
    """A network trained with one seed.

    Attributes:
        key: The network's name in file names.
        title: The network's name as shown to users.
        candidate: The candidate's id; ``BASELINE`` for the baseline.
        genotype: The architecture.
        seed: Seed of the initial weights, the order of images and the augmentation.
        state: ``done`` or ``failed``.
        reason: Why the training failed, or a remark about unusual values.
        objectives: Objective values after the best epoch, on the validation split.
        metrics: Further metrics; names of metrics on the test split start with ``test_``.
        history: Metrics of each epoch.
        seconds: Time spent in each phase since the last start.
        versions: Versions of the software that the result depends on.
        finished: End time in UTC, in ISO 8601 format.
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
        """Name in file names."""
        return training_name(self.key, self.seed)


def network_key(candidate: int, genotype: str) -> str:
    """Return the prefix of a network's file names; for the baseline, this is its genotype."""
    return genotype if candidate == BASELINE else f"candidate-{candidate:05d}"


def training_name(key: str, seed: int) -> str:
    """Return the name of a training's files, without their suffix."""
    return f"{key}-seed-{seed}"


def task_name(task: Candidate) -> str:
    """Return the name of the files of a candidate's or baseline's training."""
    return training_name(network_key(task.id, task.genotype), task.seed)


@dataclass(frozen=True)
class Retrained:
    """One network with all its finished trainings.

    Attributes:
        trainings: One or more trainings, sorted by seed.
        test_images: Number of images in the test split.
    """

    trainings: tuple[Training, ...]
    test_images: int

    @property
    def title(self) -> str:
        """The network's name as shown to users."""
        return self.trainings[0].title

    @property
    def candidate(self) -> int:
        """The candidate's id; ``BASELINE`` for the baseline."""
        return self.trainings[0].candidate

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return int(self.trainings[0].metrics["parameters"])

    @property
    def test_accuracy(self) -> Interval:
        """The test accuracy with its interval, clipped to [0, 1].

        With several seeds, this is Student's interval of the mean; with a single seed, it is
        Wilson's interval over the test images.
        """
        interval = self.over_seeds(lambda training: training.metrics["test_accuracy"])
        if interval is None:
            accuracy = self.trainings[0].metrics["test_accuracy"]
            interval = accuracy_interval(round(accuracy * self.test_images), self.test_images)
            assert interval is not None  # there are test images
        return [min(1.0, max(0.0, value)) for value in interval]

    @property
    def kind(self) -> str:
        """The kind of interval that is given for the test accuracy."""
        count = len(self.trainings)
        return f"t, {count} seeds" if count > 1 else f"Wilson, {self.test_images:,} images"

    def mean(self, metric: Callable[[Training], float]) -> float:
        """Return a metric's mean over the seeds."""
        return sum(map(metric, self.trainings)) / len(self.trainings)

    def over_seeds(self, metric: Callable[[Training], float]) -> Interval | None:
        """Return Student's interval of a metric's mean over the seeds; None for a single seed."""
        return mean_interval([metric(training) for training in self.trainings])

    def measured(self, name: str) -> dict[str, Any] | None:
        """Return the mean and the interval of an objective or of a recorded metric.

        Return None if the network does not have the value; the baseline has none of a HyperModel's
        metrics.
        """
        if any(name not in {**t.metrics, **t.objectives} for t in self.trainings):
            return None

        def value(training: Training) -> float:
            return {**training.metrics, **training.objectives}[name]

        return {"mean": self.mean(value), "interval": self.over_seeds(value)}

    def as_dict(self, config: Config) -> dict[str, Any]:
        """Return all results as JSON values, with intervals as ``[low, mean, high]``.

        Args:
            config: The configuration of the retraining.
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
    """All trainings with the same settings, in one folder.

    Args:
        path: The folder.

    Raises:
        InputError: If the folder cannot be read.
    """

    @check_types(path=PATH)
    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        self.config: Config = load_stored_config(path / CONFIG)
        facts = _read(path / FACTS, _Facts)
        self.patience = facts.patience
        self.test_images = facts.test_images
        self.code = facts.code

    def __repr__(self) -> str:
        return short_repr(self, path=self.path)

    def _repr_html_(self) -> str:
        columns = [c for c in measured_columns(self.config) if c.is_objective]
        rows = [
            [
                model.title,
                f"{model.parameters:,}",
                *(percent_text(value, 2) for value in model.test_accuracy),
                model.kind,
                *(format_value((model.measured(c.name) or {}).get("mean")) for c in columns),
            ]
            for model in self.models()
        ]
        headings = ["model", "parameters", "95% from", "test accuracy ↑", "to", "interval"]
        headings += [f"{column.title}, mean" for column in columns]
        facts = {"epochs at most": self.config.training.epochs, "patience": self.patience}
        failures = [f"{t.title}, seed {t.seed} failed: {t.reason}" for t in self.failures()]
        notes = [*self.notes(), *failures]
        return page_html(f"Retraining {self.path}", facts, table_html(headings, rows), notes=notes)

    def plot(self) -> Figure:
        """Draw the test accuracies of the networks, with 95% intervals and a dot for each seed.

        Raises:
            InputError: If no training is finished yet.
        """
        models = self.models()
        if not models:
            raise InputError(f"{self.path} has no finished training yet")
        figure = new_figure(6, 1.2 + 0.45 * len(models))
        axis = figure.subplots()
        for place, model in enumerate(models):
            low, mean, high = (100 * value for value in model.test_accuracy)
            axis.errorbar(
                mean, place, xerr=[[mean - low], [high - mean]], fmt="o", color=BLUE, capsize=3
            )
            seeds = [100 * training.metrics["test_accuracy"] for training in model.trainings]
            axis.plot(seeds, [place + 0.2] * len(seeds), ".", color=GREY)
        axis.set_yticks(range(len(models)), [f"{m.title}\n{m.kind}" for m in models], fontsize=8)
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.set_xlabel("test accuracy ↑, %, with 95% interval; grey dots are seeds", fontsize=9)
        axis.grid(alpha=0.3, axis="x")
        set_title(figure, f"Retrained for at most {counted(self.config.training.epochs, 'epoch')}")
        return figure

    def trainings(self) -> list[Training]:
        """Return all trainings that have ended, candidates first, by id and seed.

        Raises:
            InputError: If one of the trainings cannot be read.
        """
        found = []
        for file in (self.path / "results").glob("*.json"):  # not drafts, which start with a dot
            found.append(training := _read(file, Training))
            if training.name != file.stem:  # the name becomes a path, and could lead anywhere
                raise InputError(f"{file} has the results of {training.name!r}")
        return sorted(found, key=lambda t: (t.candidate == BASELINE, t.candidate, t.key, t.seed))

    def models(self) -> list[Retrained]:
        """Return all networks with finished trainings, candidates first, by id."""
        by_key: dict[str, list[Training]] = {}
        for training in self.trainings():
            if training.state == "done":
                by_key.setdefault(training.key, []).append(training)
        return [Retrained(tuple(each), self.test_images) for each in by_key.values()]

    def failures(self) -> list[Training]:
        """Return the failed trainings, which are repeated if the same command is run again."""
        return [training for training in self.trainings() if training.state == "failed"]

    def notes(self) -> list[str]:
        """Return notes for the reader on unusual values and uninformative intervals."""
        models = self.models()
        odd = [f"{m.title}: {t.reason}" for m in models for t in m.trainings if t.reason]
        pairs = [m.test_accuracy for m in models if len(m.trainings) == 2]
        is_useless = any(low == 0 and high == 1 for low, _, high in pairs)
        few = "two seeds cannot show a difference in test accuracy; use 3 or more"
        return [*dict.fromkeys(odd), *([few] if is_useless else [])]

    def model_path(self, key: str, seed: int) -> Path:
        """Return the path of a training's Keras model."""
        return self.path / "models" / f"{training_name(key, seed)}.keras"

    def load_model(self, training: Training, safe: bool = True) -> keras.Model:
        """Load a trained Keras model; see ``Candidate.load_model`` for ``safe``.

        Raises:
            InputError: If the model does not exist or cannot be loaded.
        """
        from xnas_tf.explanation.model_loading import load_subject

        return load_subject(self.model_path(training.key, training.seed), safe=safe).model

    def as_dict(self) -> dict[str, Any]:
        """Return all results as JSON values."""
        return {
            "folder": str(self.path),
            "epochs": self.config.training.epochs,
            "patience": self.patience,
            "test_images": self.test_images,
            "models": [model.as_dict(self.config) for model in self.models()],
            "trainings": [asdict(training) for training in self.trainings()],
        }


@check_types()
def retrainings(run: Run | str | Path) -> list[Retraining]:
    """Return a run's retrainings by folder; each choice of settings has its own folder.

    Raises:
        InputError: If the run does not exist, or a retraining cannot be read.
    """
    folders = sorted((load_run(run).path / FOLDER).glob("*-epochs-*"))
    return [Retraining(folder) for folder in folders if (folder / FACTS).is_file()]


@dataclass(frozen=True)
class _Facts:
    """The content of ``FACTS``; see ``Retrained`` and ``RetrainingOptions``."""

    patience: int
    test_images: int
    code: dict[str, str] = field(default_factory=dict)
    """Hashes of the code that builds and measures the networks; new in 0.3."""


def _read(file: Path, kind: Callable[..., T]) -> T:
    """Read a JSON file and create an object from its fields."""
    try:
        return kind(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
