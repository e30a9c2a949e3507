"""One rank's evaluation of a task, and the callback that connects it with the task source."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from xnas_tf.candidate import Candidate, Result
from xnas_tf.errors import RunError
from xnas_tf.execution.task_source import Task, TaskSource
from xnas_tf.training.callbacks import EvaluationCallback, interruption

if TYPE_CHECKING:
    import keras

    from xnas_tf.distributed import Communicator
    from xnas_tf.evaluation.evaluator import Keep

FAILURE_TIMEOUT = 10.0
"""Maximum number of seconds between the ranks' failures if a candidate fails on all of them."""


class RankFailedError(RunError):
    """A candidate failed on a single rank, and the other ranks would wait for it forever."""


class TaskEvaluator(Protocol):
    """An object that evaluates candidates, such as ``Evaluator``."""

    def evaluate(
        self, candidate: Candidate, keep: Keep | None, callback: EvaluationCallback
    ) -> Result:
        """See ``Evaluator.evaluate``."""


class Signals(Protocol):
    """The interface for reporting progress and learning when to stop: a watchdog or a heartbeat."""

    stopping: int
    """Exit code with which to stop; 0 if the rank should continue."""

    def report_progress(self) -> None:
        """Report progress."""


@dataclass
class RankEvaluator:
    """Evaluates tasks on one rank of a group, only the first of which has a task source."""

    evaluator: TaskEvaluator
    ranks: Communicator
    source: TaskSource | None
    signals: Signals
    checkpoint_minutes: float

    def evaluate(self, task: Task) -> Result:
        """Evaluate a task together with the other ranks; the result is the same on all of them.

        Raises:
            RankFailedError: If the evaluation failed on this rank alone.
        """
        if self.source is None:
            return self.evaluator.evaluate(task, None, GroupCallback(task, self.ranks))
        callback = TaskCallback(
            task, self.ranks, self.source, self.signals, self.checkpoint_minutes
        )
        return self.evaluator.evaluate(task, callback.keep, callback)


@dataclass
class GroupCallback(EvaluationCallback):
    """A callback that checks whether a failing evaluation fails on all ranks of its group."""

    task: Task
    ranks: Communicator

    def failed(self, reason: str) -> None:
        """Raise a ``RankFailedError`` unless the evaluation failed on all ranks.

        After a failure on a single rank, for example because only its GPU is out of memory, the
        other ranks would wait forever in a collective operation.
        """
        if self.ranks.size > 1 and not _has_failed_everywhere(self.ranks):
            raise RankFailedError(
                f"candidate {self.task.id} failed only on rank {self.ranks.rank} of its group, "
                f"which leaves the others waiting: {reason}"
            )


@dataclass
class TaskCallback(GroupCallback):
    """A callback that connects an evaluation on the first rank of a group with the task source.

    Only this rank is interrupted. The other ranks stop only after this rank has exited, because
    this rank may need them to finish its current step.
    """

    source: TaskSource
    signals: Signals
    checkpoint_minutes: float
    last_checkpoint: float = field(default_factory=time.monotonic)

    def report_progress(self) -> None:
        """Report progress; interrupt the evaluation if the rank should stop."""
        self.signals.report_progress()
        if self.signals.stopping:
            raise interruption(self.signals.stopping)

    def wants_checkpoint(self) -> bool:
        """Return whether a checkpoint is due, or the evaluation is about to be interrupted."""
        self.signals.report_progress()  # may receive a signal, which interrupts next time
        is_due = time.monotonic() - self.last_checkpoint > 60 * self.checkpoint_minutes
        return is_due or bool(self.signals.stopping)

    def save_checkpoint(self, data: bytes) -> None:
        """Save a checkpoint through the task source."""
        self.source.save_checkpoint(self.task, data)
        self.last_checkpoint = time.monotonic()

    def checkpoint(self) -> bytes | None:
        """Return the checkpoint of an interrupted evaluation; None if there is none."""
        return self.source.checkpoint(self.task) or None

    def known(self, result: Result) -> Result | None:
        """See ``TaskSource.known``."""
        return self.source.known(self.task, result)

    def on_epoch_end(self, history: list[dict[str, float]]) -> None:
        """See ``TaskSource.on_epoch_end``."""
        self.source.on_epoch_end(self.task, history)

    def keep(self, result: Result, model: keras.Model) -> None:
        """Save the trained model if the task source wants it."""
        if self.source.wants_model(self.task, result):
            from xnas_tf.keras_tools.model_files import model_bytes  # noqa: PLC0415 - heavy

            self.source.save_model(self.task, model_bytes(model))


def _has_failed_everywhere(ranks: Communicator) -> bool:
    """Return whether all ranks call this function within ``FAILURE_TIMEOUT``."""
    import tensorflow as tf  # noqa: PLC0415 - heavy

    is_complete = threading.Event()

    def wait_for_all() -> None:
        with suppress(Exception):  # another rank is gone
            ranks.sum_tensors([tf.constant(1)], "failed")
            is_complete.set()

    threading.Thread(target=wait_for_all, daemon=True).start()
    return is_complete.wait(FAILURE_TIMEOUT)
