"""One candidate on one rank: what the evaluation asks of those who coordinate it."""

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
"""``ask(method, *arguments)``: calls a method of the task source, wherever that is."""
ALONE = 10.0
"""Seconds in which the other ranks fail too, when a candidate fails on all of them."""


class RankFailedError(RunError):
    """A candidate failed on one rank, and the others wait for that rank for ever."""


class Signals(Protocol):
    """What a rank hears and says while it evaluates: ``Watchdog`` and ``Heartbeat``."""

    stopping: int
    """The exit code to leave with; 0 while there is none."""

    def beat(self) -> None:
        """Says that there is progress."""


def evaluate(
    evaluator: Evaluator, task: dict[str, Any], ask: Ask | None, supervisor: TaskCallback
) -> Result:
    """Evaluates a candidate on this rank, together with the others of its group.

    Args:
        evaluator: The rank's evaluator.
        task: What ``TaskSource.next`` gave.
        ask: How the group's first rank asks the task source; None on the others.
        supervisor: Between the evaluation and those who coordinate it.
    """
    candidate = Candidate(**task)

    if ask is None:
        return evaluator.evaluate(candidate, None, supervisor)

    def keep(outcome: Result, model: keras.Model) -> None:
        if ask("wants_model", candidate.id, outcome.as_dict()):
            ask("keep_model", candidate.id, _model_bytes(model))

    return evaluator.evaluate(candidate, keep, supervisor)


class TaskCallback(EvaluationCallback):
    """Stands between the evaluation of one candidate and those who coordinate it.

    Only the group's first rank is interrupted: the others leave when it is gone, since it may need
    them for the step it is in.

    Args:
        number: The candidate's.
        ask: How the group's first rank asks the task source; None on the others.
        ranks: Those of the group.
        signals: Whether to leave.
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
        self._saved = time.monotonic()

    def _first_rank_asks(self, method: str, *arguments: Any) -> Any:
        if self._ask is None:
            raise RuntimeError(f"{method}: only the first rank of a group asks")
        return self._ask(method, *arguments)

    def beat(self) -> None:
        """Says that there is progress; leaves if all are to leave."""
        if self._ask:
            self._signals.beat()
            if self._signals.stopping:
                raise interruption(self._signals.stopping)

    def wants_checkpoint(self) -> bool:
        """Whether it is time to save, or the last moment for it."""
        self._signals.beat()  # it may hear of a signal, which the next beat would leave at
        late = time.monotonic() - self._saved > self._checkpoint_seconds
        return late or bool(self._signals.stopping)

    def keep_checkpoint(self, data: bytes) -> None:
        """Hands a checkpoint to the task source."""
        self._first_rank_asks("keep_checkpoint", self._number, data)
        self._saved = time.monotonic()

    def checkpoint(self) -> bytes | None:
        """The checkpoint that an interrupted evaluation left, if it did."""
        return self._first_rank_asks("checkpoint", self._number) or None

    def known(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        """What the task source knows of such a network."""
        return self._first_rank_asks("known", self._number, fields)

    def failed(self, reason: str) -> None:
        """Makes sure that all ranks of the group failed; else nobody may go on.

        Where one rank alone fails, as it does when only its GPU is out of memory, the others
        wait for it in a collective operation for ever.

        Raises:
            RankFailedError: If not all did.
        """
        if self._ranks.size > 1 and not _is_said_by_all(self._ranks):
            raise RankFailedError(
                f"candidate {self._number} failed on rank {self._ranks.rank} of its group alone, "
                f"which leaves the others waiting: {reason}"
            )


def _is_said_by_all(ranks: Communicator) -> bool:
    """Whether all ranks come here within some seconds."""
    import tensorflow as tf

    met = threading.Event()

    def meet() -> None:
        with suppress(Exception):  # another rank is gone
            ranks.sum_tensors([tf.constant(1)], "failed")
            met.set()

    threading.Thread(target=meet, daemon=True).start()
    return met.wait(ALONE)


def _model_bytes(model: keras.Model) -> bytes:
    """A Keras model as the content of a ``.keras`` file, without its optimizer."""
    with tempfile.TemporaryDirectory(prefix="xnas-tf-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()
