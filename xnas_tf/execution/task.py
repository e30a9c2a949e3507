"""The evaluation of one task on one rank, and the callback between it and the task source."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from xnas_tf.candidate import Candidate
from xnas_tf.errors import RunError
from xnas_tf.training.callbacks import EvaluationCallback, interruption

if TYPE_CHECKING:
    import keras

    from xnas_tf.distributed import Communicator
    from xnas_tf.evaluation.evaluator import Evaluator
    from xnas_tf.evaluation.result import Result

Ask = Callable[..., Any]
"""``ask(method, *arguments)`` calls a method of the task source, in this process or through Ray."""
FAILURE_TIMEOUT = 10.0
"""Seconds within which all ranks of a group fail if a candidate fails on all of them."""


class RankFailedError(RunError):
    """A candidate failed on one rank, for which the others would wait forever."""


class Signals(Protocol):
    """What a rank exchanges with its surroundings during an evaluation.

    ``Watchdog`` and ``Heartbeat`` implement it.
    """

    stopping: int
    """The exit code to stop with; 0 if the rank is not to stop."""

    def report_progress(self) -> None:
        """Report progress."""


def evaluate(
    evaluator: Evaluator, task: dict[str, Any], ask: Ask | None, callback: TaskCallback
) -> Result:
    """Evaluate a candidate on this rank, together with the other ranks of its group.

    Args:
        evaluator: The rank's evaluator.
        task: A task from ``TaskSource.next``.
        ask: Calls the task source on the group's first rank; None on the others.
        callback: The callback of the evaluation.

    Returns:
        The result, the same on all ranks of the group.
    """
    candidate = Candidate(**task)

    if ask is None:
        return evaluator.evaluate(candidate, None, callback)

    def keep(result: Result, model: keras.Model) -> None:
        if ask("wants_model", candidate.id, result.as_dict()):
            ask("save_model", candidate.id, _model_bytes(model))

    return evaluator.evaluate(candidate, keep, callback)


class TaskCallback(EvaluationCallback):
    """Connects the evaluation of a candidate with the task source.

    Only the group's first rank is interrupted. The others stop when it is gone, since it may need
    them to finish its current step.

    Args:
        number: The candidate's id.
        ask: Calls the task source on the group's first rank; None on the others.
        ranks: The ranks of the group.
        signals: Takes reports of progress and says whether to stop.
        checkpoint_minutes: Minutes between two checkpoints.
    """

    def __init__(
        self,
        number: int,
        ask: Ask | None,
        ranks: Communicator,
        signals: Signals,
        checkpoint_minutes: float,
    ) -> None:
        self._number = number
        self._ask = ask
        self._ranks = ranks
        self._signals = signals
        self._checkpoint_seconds = 60 * checkpoint_minutes
        self._last_checkpoint = time.monotonic()

    def _ask_source(self, method: str, *arguments: Any) -> Any:
        if self._ask is None:
            raise RuntimeError(f"{method}: only the first rank of a group asks")
        return self._ask(method, *arguments)

    def report_progress(self) -> None:
        """Report progress; interrupt the evaluation if the rank is to stop."""
        if self._ask:
            self._signals.report_progress()
            if self._signals.stopping:
                raise interruption(self._signals.stopping)

    def wants_checkpoint(self) -> bool:
        """Return whether a checkpoint is due, or the evaluation is about to be interrupted."""
        self._signals.report_progress()  # may receive a signal, which interrupts at the next beat
        is_due = time.monotonic() - self._last_checkpoint > self._checkpoint_seconds
        return is_due or bool(self._signals.stopping)

    def save_checkpoint(self, data: bytes) -> None:
        """Save a checkpoint through the task source."""
        self._ask_source("save_checkpoint", self._number, data)
        self._last_checkpoint = time.monotonic()

    def checkpoint(self) -> bytes | None:
        """Return the checkpoint of an interrupted evaluation; None if there is none."""
        return self._ask_source("checkpoint", self._number) or None

    def known(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        """Return the known result of the candidate's network; see ``TaskSource.known``."""
        return self._ask_source("known", self._number, fields)

    def failed(self, reason: str) -> None:
        """Check that the evaluation failed on all ranks of the group.

        If it fails on a single rank, for example because only its GPU is out of memory, the
        others wait for it forever in a collective operation.

        Raises:
            RankFailedError: If it did not fail on all ranks.
        """
        if self._ranks.size > 1 and not _has_failed_everywhere(self._ranks):
            raise RankFailedError(
                f"candidate {self._number} failed on rank {self._ranks.rank} of its group alone, "
                f"which leaves the others waiting: {reason}"
            )


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


def _model_bytes(model: keras.Model) -> bytes:
    """Return a Keras model as the content of a ``.keras`` file, without its optimizer."""
    with tempfile.TemporaryDirectory(prefix="xnas-tf-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()
