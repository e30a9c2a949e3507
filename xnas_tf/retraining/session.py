"""Schedules the trainings of a retraining and writes the results, on rank 0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import dump_config
from xnas_tf.data import Dataset
from xnas_tf.errors import InputError, RunError
from xnas_tf.execution.task_source import Task
from xnas_tf.registry import describe
from xnas_tf.retraining.baseline import ResNet, resnet_of_size
from xnas_tf.retraining.results import (
    BASELINE,
    FACTS,
    Retraining,
    Training,
    network_key,
    task_name,
)
from xnas_tf.retraining.settings import RetrainingOptions
from xnas_tf.storage.run_directory import CONFIG, now, write_atomically
from xnas_tf.utils.number_format import percent_text
from xnas_tf.utils.progress import ShowEpoch
from xnas_tf.utils.source_code import changed_files
from xnas_tf.utils.tensorboard import TrainingCurves
from xnas_tf.utils.versions import versions


def made_folder(
    path: Path, settings: RetrainingOptions, dataset: Dataset, code: dict[str, str]
) -> Retraining:
    """Create the folder of a retraining if necessary; its parent folder must be locked.

    Raises:
        InputError: If the user's code, with these hashes, has changed since networks in this folder
            were trained.
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
            "Undo the change to resume this retraining, or move the folder out of "
            f"{path.parent} to start again"
        )
    for checkpoint in (path / "checkpoints").iterdir():
        checkpoint.unlink()
    return {}


@dataclass
class RetrainingSession:
    """A ``TaskSource`` that yields one training at a time, for all ranks to share.

    All networks are trained with one seed, from 0, before the next seed begins. ``dataset`` is for
    the baseline; if None, no baseline is trained. ``folder`` is TensorBoard's folder for the
    retraining. ``show_epoch`` is called after each epoch, and ``log`` gets messages about the start
    and the end of each training.
    """

    retraining: Retraining
    candidates: Sequence[Candidate]
    seeds: int
    dataset: Dataset | None
    folder: Path
    show_epoch: ShowEpoch
    log: Callable[[str], None]

    def __post_init__(self) -> None:
        self._curves = TrainingCurves()
        self._versions = versions()
        found = self.retraining.trainings()
        self._ended = {training.name: training for training in found if training.state == "done"}
        self._current = ""
        """Name of the training that is running."""

    def ask(self, group: int = 0) -> Task | None:
        """See ``TaskSource.ask``."""
        if self._current:
            return None
        numbered = enumerate(self._tasks(), start=1)
        left = ((place, task) for place, task in numbered if task_name(task) not in self._ended)
        if (upcoming := next(left, None)) is None:
            return None
        place, task = upcoming
        self._current = task_name(task)
        total = (len(self.candidates) + (self.dataset is not None)) * self.seeds
        resumed = ", from its checkpoint" if self._checkpoint(task).is_file() else ""
        self.log(f"{_title(task)}, seed {task.seed} (training {place} of {total}){resumed}")
        return task

    def known(self, task: Task, result: Result) -> None:
        """See ``TaskSource.known``; a result with another seed does not replace a training."""

    def wants_model(self, task: Task, result: Result) -> bool:
        """See ``TaskSource.wants_model``."""
        return result.state == "done" and self._is_running(task)

    def save_model(self, task: Task, data: bytes) -> None:
        """See ``TaskSource.save_model``."""
        if self._is_running(task):
            key = network_key(task.id, task.genotype)
            write_atomically(self.retraining.model_path(key, task.seed), data)

    def save_checkpoint(self, task: Task, data: bytes) -> None:
        """See ``TaskSource.save_checkpoint``."""
        if self._is_running(task):
            write_atomically(self._checkpoint(task), data)

    def checkpoint(self, task: Task) -> bytes:
        """See ``TaskSource.checkpoint``."""
        path = self._checkpoint(task)
        return path.read_bytes() if path.is_file() else b""

    def on_epoch_end(self, task: Task, history: list[dict[str, float]]) -> None:
        """See ``TaskSource.on_epoch_end``."""
        if not self._is_running(task):
            return
        self.show_epoch(len(history), task.epochs, history[-1])
        with self._curves_optional(self._current):
            self._curves.update(self.folder / self._current, history)

    def tell(self, task: Task, result: Result) -> None:
        """See ``TaskSource.tell``.

        The next command resumes a failed training, which may have been due to a lack of memory.
        """
        if not self._is_running(task):
            return
        self._current = ""
        is_done = result.state == "done"
        training = Training(
            network_key(task.id, task.genotype),
            _title(task),
            task.id,
            task.genotype,
            task.seed,
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
            final = {f"objective/{name}": value for name, value in training.objectives.items()}
            final["test/accuracy"] = training.metrics["test_accuracy"]
            with self._curves_optional(training.name):
                self._curves.finish(self.folder / training.name, training.history, final)
        file = self.retraining.path / "results" / f"{training.name}.json"
        write_atomically(file, json.dumps(asdict(training), allow_nan=False).encode())
        if is_done:
            self._checkpoint(task).unlink(missing_ok=True)
        self.log(f"{training.title}, seed {task.seed}: {_summary(training)}")

    def _is_running(self, task: Task) -> bool:
        """Return whether a task has not ended; one that was given up may still send results."""
        return task_name(task) == self._current

    @contextmanager
    def _curves_optional(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - TensorBoard rejects some names
            self.log(f"warning: {name}: no curves in TensorBoard: {describe(error)}")

    def lost(self, task: Task, why: str) -> None:
        """See ``TaskSource.lost``; the next command resumes from the last checkpoint."""

    def check(self) -> None:
        """Raise a ``RunError`` if all trainings of this command failed."""
        ended = [training for training in self._of_candidates() if training.seed < self.seeds]
        if ended and all(training.state == "failed" for training in ended):
            raise RunError(f"every training failed; {ended[0].name}: {ended[0].reason}")

    def _of_candidates(self) -> list[Training]:
        ids = {candidate.id for candidate in self.candidates}
        return [training for training in self._ended.values() if training.candidate in ids]

    def _tasks(self) -> Iterator[Task]:
        """Yield, for each seed, the candidates, then a baseline as large as the largest of them."""
        epochs = self.retraining.config.training.epochs
        for seed in range(self.seeds):
            for each in self.candidates:
                yield Task(each.id, each.genotype, each.hyperparameters, seed=seed, epochs=epochs)
            done = [training for training in self._of_candidates() if training.state == "done"]
            if self.dataset is not None and done:
                size = max(int(training.metrics["parameters"]) for training in done)
                network = resnet_of_size(size, self.dataset.image_shape, self.dataset.classes)
                yield Task(BASELINE, network.key, asdict(network), seed=seed, epochs=epochs)

    def _checkpoint(self, task: Task) -> Path:
        return self.retraining.path / "checkpoints" / f"{task_name(task)}.npz"


def _title(task: Task) -> str:
    is_baseline = task.id == BASELINE
    return ResNet(**task.hyperparameters).title if is_baseline else f"candidate {task.id}"


def _summary(training: Training) -> str:
    if training.state == "failed":
        return f"failed: {training.reason}"
    best, last = int(training.metrics["best_epoch"]), len(training.history)
    accuracy = training.metrics["test_accuracy"]
    return f"test accuracy {percent_text(accuracy, 2)}, best epoch {best} of {last}"
