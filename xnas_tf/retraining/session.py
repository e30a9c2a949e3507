"""Schedules the trainings of a retraining and writes the results, on rank 0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import dump_config
from xnas_tf.data import Dataset
from xnas_tf.errors import InputError, RunError
from xnas_tf.execution.task_source import Task
from xnas_tf.registry import describe
from xnas_tf.retraining.baseline import resnet_of_size, values_of
from xnas_tf.retraining.results import (
    BASELINE,
    FACTS,
    Retraining,
    Training,
    network_key,
    training_name,
)
from xnas_tf.retraining.settings import RetrainingOptions
from xnas_tf.storage.run_directory import CONFIG, now, write_atomically
from xnas_tf.utils.number_format import percent_text
from xnas_tf.utils.progress import ShowEpoch
from xnas_tf.utils.source_code import changed_files
from xnas_tf.utils.tensorboard import TrainingCurves
from xnas_tf.utils.versions import versions


@dataclass(frozen=True)
class Network:
    """A network to train with several seeds; see ``Training`` for the fields."""

    key: str
    title: str
    candidate: int
    genotype: str
    hyperparameters: dict[str, Any]


def network_of(candidate: Candidate) -> Network:
    """Return a candidate's network."""
    return Network(
        network_key(candidate.id, candidate.genotype),
        f"candidate {candidate.id}",
        candidate.id,
        candidate.genotype,
        candidate.hyperparameters,
    )


def made_folder(
    path: Path, settings: RetrainingOptions, dataset: Dataset, code: dict[str, str]
) -> Retraining:
    """Create the folder of a retraining if necessary; its parent folder must be locked.

    ``code`` contains the current hashes of the user's code; see ``code_hashes``.

    Raises:
        InputError: If the code has changed since networks in this folder were trained.
    """
    for name in ("results", "models", "checkpoints"):
        (path / name).mkdir(parents=True, exist_ok=True)
    known = _known_code(path, code)
    facts = {
        "patience": settings.patience,
        "test_images": len(dataset.test),
        "code": {**known, **code},
    }
    write_atomically(path / CONFIG, dump_config(settings.config).encode())
    write_atomically(path / FACTS, json.dumps(facts).encode())
    return Retraining(path)


def _known_code(path: Path, code: dict[str, str]) -> dict[str, str]:
    """Return the recorded hashes of a folder's code, unless nothing trained with it is left.

    Otherwise, the mean of a network's seeds could mix different networks.
    """
    if not (path / FACTS).is_file():
        return {}
    before = Retraining(path)
    files = changed_files(before.code, code)
    if not files:
        return before.code
    if before.models():
        raise InputError(
            f"the code has changed since networks in {path} were trained: {', '.join(files)}. "
            "Undo the change to resume this retraining, or move its folder away to start again"
        )
    for checkpoint in (path / "checkpoints").iterdir():
        checkpoint.unlink()
    return {}


class RetrainingSession:
    """A ``TaskSource`` that yields one training at a time, for all ranks to share.

    All networks are trained with one seed before the next seed begins.

    Args:
        retraining: The folder.
        candidates: The candidates to retrain.
        seeds: Number of seeds for each network, starting at seed 0.
        dataset: The images for the baseline; if None, no baseline is trained.
        folder: TensorBoard's folder for the retraining.
        show_epoch: Called after each epoch.
        log: Called with messages about the start and the end of each training.
    """

    def __init__(
        self,
        retraining: Retraining,
        candidates: Sequence[Candidate],
        seeds: int,
        dataset: Dataset | None,
        folder: Path,
        show_epoch: ShowEpoch,
        log: Callable[[str], None],
    ) -> None:
        self._retraining = retraining
        self._networks = [network_of(candidate) for candidate in candidates]
        self._seeds = range(seeds)
        self._dataset = dataset
        self._folder = folder
        self._curves = TrainingCurves()
        self._show_epoch = show_epoch
        self._log = log
        self._versions = versions()
        found = retraining.trainings()
        self._ended = {training.name: training for training in found if training.state == "done"}
        self._current: tuple[Network, int] | None = None
        """The network that is being trained, and its seed."""

    def ask(self, group: int = 0) -> Task | None:
        """See ``TaskSource.ask``."""
        if self._current is not None or (upcoming := self._upcoming()) is None:
            return None
        place, network, seed = upcoming
        self._current = network, seed
        total = (len(self._networks) + (self._dataset is not None)) * len(self._seeds)
        resumed = ", from its checkpoint" if self._checkpoint(network, seed).is_file() else ""
        self._log(f"{network.title}, seed {seed} (training {place} of {total}){resumed}")
        return Task(
            id=network.candidate,
            genotype=network.genotype,
            hyperparameters=network.hyperparameters,
            seed=seed,
            epochs=self._retraining.config.training.epochs,
        )

    def known(self, task: Task, result: Result) -> None:
        """See ``TaskSource.known``; a result with another seed does not replace a training."""

    def wants_model(self, task: Task, result: Result) -> bool:
        """See ``TaskSource.wants_model``."""
        return result.state == "done" and self._current is not None

    def save_model(self, task: Task, data: bytes) -> None:
        """See ``TaskSource.save_model``."""
        if self._current:
            network, seed = self._current
            write_atomically(self._retraining.model_path(network.key, seed), data)

    def save_checkpoint(self, task: Task, data: bytes) -> None:
        """See ``TaskSource.save_checkpoint``."""
        if self._current:
            write_atomically(self._checkpoint(*self._current), data)

    def checkpoint(self, task: Task) -> bytes:
        """See ``TaskSource.checkpoint``."""
        if self._current is None:
            return b""
        path = self._checkpoint(*self._current)
        return path.read_bytes() if path.is_file() else b""

    def on_epoch_end(self, task: Task, history: list[dict[str, float]]) -> None:
        """See ``TaskSource.on_epoch_end``."""
        if self._current is None:
            return
        network, seed = self._current
        self._show_epoch(len(history), task.epochs, history[-1])
        name = training_name(network.key, seed)
        with self._curves_optional(name):
            self._curves.update(self._folder / name, history)

    def tell(self, task: Task, result: Result) -> None:
        """See ``TaskSource.tell``.

        The next command resumes a failed training from its last checkpoint, because the failure may
        have been due to a lack of memory.
        """
        if self._current is None:
            return
        (network, seed), self._current = self._current, None
        fields = asdict(network)
        del fields["hyperparameters"]
        is_done = result.state == "done"
        training = Training(
            **fields,
            seed=seed,
            state="done" if is_done else "failed",
            reason=result.reason,
            objectives=result.objectives,
            metrics=result.metrics,
            history=result.history,
            seconds=dict(result.seconds),
            versions=self._versions,
            finished=now(),
        )
        self._ended[training.name] = training
        if is_done:
            with self._curves_optional(training.name):
                folder = self._folder / training.name
                self._curves.finish(folder, training.history, _final_metrics(training))
        file = self._retraining.path / "results" / f"{training.name}.json"
        write_atomically(file, json.dumps(asdict(training), allow_nan=False).encode())
        if is_done:
            self._checkpoint(network, seed).unlink(missing_ok=True)
        self._log(f"{network.title}, seed {seed}: {_summary(training)}")

    @contextmanager
    def _curves_optional(self, name: str) -> Iterator[None]:
        """Continue training even if the curves cannot be written."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - TensorBoard rejects some names
            self._log(f"warning: {name}: no curves in TensorBoard: {describe(error)}")

    def lost(self, task: Task, why: str) -> None:
        """See ``TaskSource.lost``; the next command resumes from the last checkpoint."""

    def check(self) -> None:
        """Check at the end that at least one training succeeded.

        Raises:
            RunError: If all trainings of this command failed.
        """
        names = [training_name(n.key, seed) for n in self._networks for seed in self._seeds]
        ended = [self._ended[name] for name in names if name in self._ended]
        if ended and all(training.state == "failed" for training in ended):
            raise RunError(f"every training failed; {ended[0].name}: {ended[0].reason}")

    def _upcoming(self) -> tuple[int, Network, int] | None:
        """Return the index, network and seed of the next training, or None if none is left."""
        trainings = ((network, seed) for seed in self._seeds for network in self._with_baseline())
        for place, (network, seed) in enumerate(trainings, start=1):
            if training_name(network.key, seed) not in self._ended:
                return place, network, seed
        return None

    def _with_baseline(self) -> Iterator[Network]:
        """Yield the candidates, then a baseline as large as the largest candidate trained."""
        yield from self._networks
        ids = {network.candidate for network in self._networks}
        done = [training for training in self._ended.values() if training.state == "done"]
        sizes = [int(t.metrics["parameters"]) for t in done if t.candidate in ids]
        if self._dataset is None or not sizes:
            return
        network = resnet_of_size(max(sizes), self._dataset.image_shape, self._dataset.classes)
        yield Network(network.key, network.title, BASELINE, network.key, values_of(network))

    def _checkpoint(self, network: Network, seed: int) -> Path:
        name = training_name(network.key, seed)
        return self._retraining.path / "checkpoints" / f"{name}.npz"


def _final_metrics(training: Training) -> dict[str, float]:
    """Return the metrics that TensorBoard shows next to the curves."""
    values = {f"objective/{name}": value for name, value in training.objectives.items()}
    return {**values, "test/accuracy": training.metrics["test_accuracy"]}


def _summary(training: Training) -> str:
    if training.state == "failed":
        return f"failed: {training.reason}"
    best, last = int(training.metrics["best_epoch"]), len(training.history)
    accuracy = training.metrics["test_accuracy"]
    return f"test accuracy {percent_text(accuracy, 2)}, best epoch {best} of {last}"
