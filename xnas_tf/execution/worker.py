"""The worker: on every rank of a job, takes a task, evaluates it and returns the result."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from xnas_tf.candidate import Result
from xnas_tf.errors import RankDiedError, RunError
from xnas_tf.execution.task import RankEvaluator, RankFailedError
from xnas_tf.execution.task_source import Task
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.registry import describe
from xnas_tf.training.callbacks import interruption
from xnas_tf.utils.progress import LOGGER

LAST_SECONDS = 5.0
"""Seconds before a signal's deadline during which ranks may end each other."""
PROFILED = 2
"""Number of the evaluation that is profiled; the first one also warms up TensorFlow."""


@dataclass
class Profiler:
    """Profiles the second evaluation in this process, into TensorBoard's folder at ``path``."""

    path: Path | None = None
    evaluations: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether no evaluation has been profiled yet."""
        return self.path is not None and self.evaluations < PROFILED

    def over_evaluation(self) -> AbstractContextManager[None]:
        """Count an evaluation, and return a context that profiles only the second one."""
        self.evaluations += 1
        if self.path is None or self.evaluations != PROFILED:
            return nullcontext()
        return tf.profiler.experimental.Profile(str(self.path))


@dataclass
class Worker(RankEvaluator):
    """One rank of a job whose ranks all evaluate the same candidate; only rank 0 has a source."""

    signals: Watchdog
    profiler: Profiler = field(default_factory=Profiler)

    def run(self) -> None:
        """Evaluate candidates until there are no more.

        Raises:
            Interrupted: After a signal, once everything that can be saved has been saved.
            RunError: If another rank has ended.
        """
        try:
            begin = time.perf_counter()
            while (task := self._next()) is not None:
                self._work(task, waited=time.perf_counter() - begin)
                begin = time.perf_counter()
            self._broadcast()  # wait: the first rank to leave shuts down Horovod for the others
        except RankDiedError as error:
            if self.signals.stopping:
                raise interruption(self.signals.stopping) from error
            raise

    def _next(self) -> Task | None:
        """Return the next task, on all ranks."""
        if self.signals.stopping and self.source:
            raise interruption(self.signals.stopping)
        task = self.source.ask() if self.source else None
        fields = self._broadcast(task and vars(task))
        return Task(**fields) if fields else None

    def _broadcast(self, message: Any = None) -> Any:
        """Return rank 0's message, any JSON value, on all ranks."""
        try:
            return self.ranks.broadcast(message)
        except Exception as error:  # Horovod's own class exists only where Horovod does
            raise RankDiedError(f"another rank is gone: {describe(error)}") from error

    def _work(self, task: Task, waited: float) -> None:
        try:
            with self._watched(task), self.profiler.over_evaluation():
                result = self.evaluate(task)
        except RankFailedError as error:
            self._tell(task, Result("failed", str(error)))
            raise RunError(f"{error}. Run the same command again to resume") from error
        except RankDiedError as error:
            if self.source and self._has_died_by_itself():
                self.source.lost(task, str(error))
                raise RunError(str(error)) from error
            raise
        result.seconds["wait"] = waited
        self._tell(task, result)

    def _watched(self, task: Task) -> AbstractContextManager[None]:
        """Watch for hangs on rank 0 only: it waits for the others, and so notices if they hang."""
        if self.source is None:
            return nullcontext()
        return self.signals.over(lambda: self._give_up(task))

    def _has_died_by_itself(self) -> bool:
        """Return whether the other rank ended before a signal could have ended it.

        When a rank dies, horovodrun sends SIGTERM to the others. But a rank also dies after a
        signal if a step takes longer than the grace period.
        """
        return not self.signals.stopping or self.signals.seconds_left > LAST_SECONDS

    def _tell(self, task: Task, result: Result) -> None:
        if self.source:
            self.source.tell(task, result)

    def _give_up(self, task: Task) -> None:
        """Record a hanging candidate as failed; called in another thread."""
        minutes = self.signals.stall_seconds / 60
        reason = f"it hung: no step for {minutes:g} minutes (distributed.stall_minutes)"
        LOGGER.warning("giving up candidate %d: %s", task.id, reason)
        self._tell(task, Result("failed", reason))
