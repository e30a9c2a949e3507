"""Callbacks through which an evaluation communicates with the code that supervises it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xnas_tf.candidate import Result
from xnas_tf.errors import XnasError

EndOfEpoch = Callable[[dict[str, float]], bool]
"""Receives the metrics of an epoch and returns whether to stop the training."""


class Interrupted(XnasError):
    """Raised when an evaluation is asked to stop; its candidate has not failed.

    The exit code is that of the command: 129 after SIGHUP, 130 after SIGINT, 143 after
    SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def interruption(code: int) -> Interrupted:
    """Return the exception for the exit code of a signal."""
    name = signal.Signals(code - 128).name
    return Interrupted(f"{name}: run the same command to resume from here", code)


class EvaluationCallback:
    """Base class for callbacks of an evaluation; its methods do nothing.

    An exception raised by a callback's methods, such as ``Interrupted`` or the error of a full
    disk, ends the evaluation, and ``Evaluator.evaluate`` passes it on unchanged.
    """

    def report_progress(self) -> None:
        """Send a heartbeat; called on every rank, every few steps and after each score."""

    def wants_checkpoint(self) -> bool:
        """Return whether to save a checkpoint now.

        Called every few steps, on rank 0 only, before ``report_progress``, so that a callback that
        is about to interrupt gets a checkpoint first.
        """
        return False

    def save_checkpoint(self, data: bytes) -> None:
        """Save a checkpoint; called on rank 0 only."""

    def checkpoint(self) -> bytes | None:
        """Return the checkpoint to resume from, if any; called on rank 0 only, before training."""
        return None

    def known(self, result: Result) -> Result | None:
        """Return the known result of a network, or None if the network must be trained.

        Called on rank 0 only, when the network is ready to be trained. The given result already
        contains the network's digest and costs.
        """
        return None

    def on_epoch_end(self, history: list[dict[str, float]]) -> None:
        """Report the metrics of all epochs so far; called on every rank after each validation."""

    def failed(self, reason: str) -> None:
        """React to a failure; called on every rank where the evaluation raised an exception."""


class CallbackError(BaseException):
    """Wrapper that carries an exception past everything that catches ``Exception``."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def escaping() -> Iterator[None]:
    """Wrap exceptions raised in the context, or in a decorated function, in ``CallbackError``."""
    try:
        yield
    except Exception as error:
        raise CallbackError(error) from error
