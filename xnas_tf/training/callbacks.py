"""What an evaluation and its surroundings tell each other while it lasts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xnas_tf.errors import XnasError


class Interrupted(XnasError):
    """An evaluation was told to stop; that is no failure of its candidate.

    Args:
        message: Why.
        exit_code: What the command line returns: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def interruption(code: int) -> Interrupted:
    """What to raise where an exit code, 130 or 143, says that a signal came."""
    name = signal.Signals(code - 128).name
    return Interrupted(f"{name}: the same command goes on from here", code)


class EvaluationCallback:
    """Supervises nothing; supervisors of one evaluation subclass it.

    Whatever its methods raise ends the evaluation and comes out of ``Evaluator.evaluate`` as
    it is: an ``Interrupted``, but also a full disk or a dead rank 0.
    """

    def beat(self) -> None:
        """Called on every rank after every few steps or batches, and each measure: all is well."""

    def wants_checkpoint(self) -> bool:
        """Whether the state of the training is to be kept now.

        Asked after every few steps, of the leader (rank 0) alone, before their beat: one who is
        about to interrupt gets a checkpoint first.
        """
        return False

    def keep_checkpoint(self, data: bytes) -> None:
        """Keeps what was wanted; called on the leader alone."""

    def checkpoint(self) -> bytes | None:
        """What to go on from, if anything; asked of the leader alone, before training."""
        return None

    def known(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        """What is known already of an evaluation whose network is built and fit to be trained,
        as fields of its outcome; None if it is to be trained. Asked of the leader alone.

        Args:
            fields: Those of its result by now, with the network's digest and costs.
        """
        return None

    def failed(self, reason: str) -> None:
        """Called on every rank on which the evaluation failed with an exception."""


class CallbackError(BaseException):
    """Carries an error out of an evaluation, past everything that catches exceptions."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def escaping() -> Iterator[None]:
    """Inside, and in functions decorated with it, errors leave the evaluation as they are."""
    try:
        yield
    except Exception as error:
        raise CallbackError(error) from error
