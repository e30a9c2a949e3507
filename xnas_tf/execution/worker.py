"""What every rank of a job does: take a candidate with the others, evaluate it, tell how it did."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from xnas_tf.distributed import Communicator
from xnas_tf.errors import RankDiedError, RunError
from xnas_tf.evaluation.evaluator import Evaluator, Result
from xnas_tf.execution.profiling import Profiler
from xnas_tf.execution.task import Ask, RankFailedError, TaskCallback, evaluate
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.registry import describe

LAST_SECONDS = 5.0
"""Seconds before the end that a signal sets, in which ranks may end each other."""


@dataclass
class Worker:
    """This rank's part in a job whose ranks all train the same candidate.

    Args:
        evaluator: Evaluates candidates on all ranks.
        ranks: The ranks.
        ask: How rank 0 asks the task source; None on the others.
        watch: Watches over this process.
        checkpoint_minutes: Minutes between two checkpoints of a training.
        profiler: Profiles one of the evaluations, if it is asked to.
    """

    evaluator: Evaluator
    ranks: Communicator
    ask: Ask | None
    watch: Watchdog
    checkpoint_minutes: float
    profiler: Profiler = field(default_factory=Profiler)

    def run(self) -> None:
        """Works until no candidate is left.

        Raises:
            Interrupted: After a signal, when what can be saved is saved.
            RunError: If another rank is gone.
        """
        try:
            begin = time.perf_counter()
            while (task := self._next()) is not None:
                self._work(task, waited=time.perf_counter() - begin)
                begin = time.perf_counter()
            self._share()  # who leaves first takes the others' Horovod along
        except RankDiedError as error:
            if self.watch.stopping:
                raise self.watch.interruption() from error
            raise

    def _next(self) -> dict[str, Any] | None:
        """The next task, on all ranks."""
        if self.watch.stopping and self.ask:
            raise self.watch.interruption()
        return self._share(self.ask("next") if self.ask else None)

    def _share(self, message: Any = None) -> Any:
        """What rank 0 says, on all ranks."""
        try:
            return self.ranks.broadcast(message)
        except Exception as error:  # Horovod's own class exists only where Horovod does
            raise RankDiedError(f"another rank is gone: {describe(error)}") from error

    def _work(self, task: dict[str, Any], waited: float) -> None:
        number = task["id"]
        supervisor = TaskCallback(number, self.ask, self.ranks, self.watch, self.checkpoint_minutes)
        try:
            with self._watched(number), self.profiler.over_evaluation():
                outcome = evaluate(self.evaluator, task, self.ask, supervisor)
        except RankFailedError as error:
            self._tell(number, Result("failed", str(error)))
            raise RunError(f"{error}. The same command goes on from there") from error
        except RankDiedError as error:
            if self.ask and self._is_noted():
                self.ask("lost", number, str(error))
                raise RunError(str(error)) from error
            raise
        outcome.seconds["wait"] = waited
        self._tell(number, outcome)

    def _is_noted(self) -> bool:
        """Whether the other rank died by itself. horovodrun then sends the rest SIGTERM; but others
        die too when a step takes longer than a signal leaves them."""
        return not self.watch.stopping or self.watch.seconds_left > LAST_SECONDS

    def _tell(self, number: int, outcome: Result) -> None:
        if self.ask:
            self.ask("tell", number, outcome.as_dict())

    def _watched(self, number: int) -> AbstractContextManager[None]:
        """Rank 0 notices hangs of all ranks: it waits for them."""
        return self.watch.over(lambda: self._hang(number)) if self.ask else nullcontext()

    def _hang(self, number: int) -> None:
        """Gives a candidate up, from the watch's thread."""
        minutes = self.watch.stall_seconds / 60
        reason = f"it hung: no step for {minutes:g} minutes (distributed.stall_minutes)"
        print(f"xnas-tf: candidate {number} is given up: {reason}", file=sys.stderr)
        self._tell(number, Result("failed", reason))
