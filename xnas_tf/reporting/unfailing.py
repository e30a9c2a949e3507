"""A callback whose failures are reported and do not end the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.execution.callbacks import Callback
from xnas_tf.registry import describe
from xnas_tf.training.callbacks import Interrupted


class Unfailing(Callback):
    """Call another callback, and report why it failed, each reason once.

    A search is recorded before it is shown: a name that TensorBoard refuses, a picture that
    cannot be drawn or a closed terminal must not end it.

    Args:
        callback: The other callback.
        log: Called with notes; a failure of its own is ignored.
    """

    def __init__(self, callback: Callback, log: Callable[[str], None]) -> None:
        self._callback = callback
        self._log = log
        self._noted: set[str] = set()

    def __enter__(self) -> Callback:
        self.attempt(self._callback.__enter__)
        return self

    def __exit__(self, *error: object) -> None:
        self.attempt(partial(self._callback.__exit__, *error))

    def on_candidate_end(
        self,
        candidate: Candidate,
        is_new: bool,
        front: Sequence[Candidate],
        hypervolume: float | None,
    ) -> None:
        """See ``Callback.on_candidate_end``."""
        self.attempt(
            partial(self._callback.on_candidate_end, candidate, is_new, front, hypervolume)
        )

    def on_epoch_end(self, candidate: Candidate, epoch: int, logs: Mapping[str, float]) -> None:
        """See ``Callback.on_epoch_end``."""
        self.attempt(partial(self._callback.on_epoch_end, candidate, epoch, logs))

    def on_generation_end(
        self,
        generation: int,
        candidates: Sequence[Candidate],
        front: Sequence[Candidate],
        hypervolume: float | None,
    ) -> None:
        """See ``Callback.on_generation_end``."""
        self.attempt(
            partial(self._callback.on_generation_end, generation, candidates, front, hypervolume)
        )

    def on_message(self, text: str) -> None:
        """See ``Callback.on_message``."""
        self.attempt(partial(self._callback.on_message, text))

    def on_search_end(self, evaluator: Evaluator) -> None:
        """See ``Callback.on_search_end``."""
        self.attempt(partial(self._callback.on_search_end, evaluator))

    def attempt(self, work: Callable[[], Any]) -> None:
        """Call a function; if it fails, report why, unless that was reported before."""
        try:
            work()
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - TensorBoard, Matplotlib or a user's layers
            reason = f"warning: {type(self._callback).__name__} failed: {describe(error)}"
            if reason not in self._noted:
                self._noted.add(reason)
                with suppress(Exception):
                    self._log(reason)
