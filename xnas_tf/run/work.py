"""What every rank does: take a candidate with its group, evaluate it, tell how it did."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.distributed import Group
from xnas_tf.distributed.client import Told
from xnas_tf.errors import RunError
from xnas_tf.evaluation.evaluator import Evaluator, Outcome
from xnas_tf.evaluation.supervision import Interrupted, Unsupervised
from xnas_tf.registry import describe
from xnas_tf.run.profiling import Profiler
from xnas_tf.run.source import Source
from xnas_tf.run.watch import Watch

LAST_SECONDS = 8.0
"""Seconds before its end in which a process does not wait for others to save any more."""


@dataclass
class Worker:
    """This rank's part in its group.

    Args:
        evaluator: Evaluates candidates on the group's ranks.
        group: The group.
        source: Where candidates come from.
        watch: Watches over this process.
        checkpoint_minutes: Minutes between two checkpoints of a training.
        profiler: Profiles one of the evaluations, if it is asked to.
    """

    evaluator: Evaluator
    group: Group
    source: Source
    watch: Watch
    checkpoint_minutes: float
    profiler: Profiler = field(default_factory=Profiler)
    _asked: float = 0.0
    _untold: Told | None = None
    """What the group's leader tells when it asks for more."""

    def run(self, limit: float = float("inf")) -> list[float]:
        """Works until no candidate is left, or until a number of them is trained.

        Returns:
            The seconds that each of these evaluations took; promotions are not among them.

        Raises:
            Interrupted: After a signal, when what can be saved is saved.
            RunError: If another rank is gone.
        """
        seconds: list[float] = []
        try:
            while True:
                begin = time.perf_counter()
                task = self._next(has_enough=len(seconds) >= limit)
                if task is None:
                    break
                outcome = self._work(task, waited=time.perf_counter() - begin)
                is_whole = not (outcome.answered_by or task.get("promoted_from"))
                if outcome.state == "done" and is_whole:
                    seconds.append(time.perf_counter() - begin - outcome.seconds["wait"])
        except Interrupted:
            with suppress(RunError):
                self._tell()
            self._leave()
            raise
        except RunError as error:
            if self.watch.stopping:
                raise self.watch.interruption() from error
            raise
        return seconds

    def gather(self, name: str, ranks: int) -> None:
        """Waits for all ranks, however long: in a collective operation Horovod would take them
        for stalled.

        Raises:
            Interrupted: After a signal.
        """
        while not self.source.meet(name, ranks):
            self.heed()
            if self.watch.stopping:
                if self.group.leads:
                    self._leave()
                raise self.watch.interruption()

    def _leave(self) -> None:
        """Lets the other leaders save too: one that is gone breaks off their collectives."""
        with suppress(RunError):
            while not self.source.meet("leave", self.group.count):
                if self.watch.seconds_left < LAST_SECONDS:
                    return

    def heed(self) -> None:
        """Asks now and then whether rank 0 was told to leave: horovodrun tells nobody on other
        hosts, and those on its own only in its own way."""
        if self.group.leads and time.monotonic() - self._asked > 1:
            self._asked = time.monotonic()
            if code := self.source.stopping():
                self.watch.stop(code)

    def _next(self, has_enough: bool) -> dict[str, Any] | None:
        """The group's next task, on all of its ranks; None when there is no more, or its leader
        has enough: the others don't know of a model that could not be saved."""
        while True:
            self.heed()
            if self.watch.stopping and self.group.leads:
                raise self.watch.interruption()
            reply = None
            if self.group.leads:
                reply = self._enough() if has_enough else self._more()
            try:
                reply = self.group.ranks.broadcast(reply)
            except Exception as error:  # Horovod's own class exists only where Horovod does
                raise RunError(f"another rank is gone: {describe(error)}") from error
            if "wait" not in reply:
                return reply.get("task")

    def _more(self) -> dict[str, Any]:
        told, self._untold = self._untold, None
        return self.source.next(self.group.number, told)

    def _enough(self) -> dict[str, Any]:
        self._tell()
        return {"over": True}

    def _tell(self) -> None:
        if self._untold:
            self.source.tell(*self._untold)
            self._untold = None

    def _work(self, task: dict[str, Any], waited: float) -> Outcome:
        candidate = Candidate(**task)
        supervisor = _Supervisor(self, candidate.id)

        def keep(outcome: Outcome, model: keras.Model) -> None:
            if self.source.wants_model(candidate.id, asdict(outcome)):
                self.source.keep_model(candidate.id, model_bytes(model))

        hang = self.watch.over(lambda: self._hang(candidate.id))
        with hang, self.profiler.over_evaluation():
            outcome = self.evaluator.evaluate(
                candidate, keep if self.group.leads else None, supervisor
            )
        outcome.seconds["wait"] = waited
        if self.group.leads:
            self._untold = candidate.id, asdict(outcome)
        return outcome

    def _hang(self, number: int) -> None:
        """Gives a candidate up, from the watch's thread."""
        minutes = self.watch.stall_seconds / 60
        reason = f"it hung: no step for {minutes:g} minutes (distributed.stall_minutes)"
        print(f"xnas-tf: candidate {number} is given up: {reason}", file=sys.stderr)
        self.source.tell(number, asdict(Outcome("failed", reason)))


class _Supervisor(Unsupervised):
    """Stands between the evaluation of one candidate and the rest of the run."""

    def __init__(self, worker: Worker, number: int) -> None:
        self._worker = worker
        self._number = number
        self._saved = time.monotonic()

    def beat(self) -> None:
        """Notes that there is progress; a leader leaves where a signal asks for it.

        The other ranks leave when their leader is gone: it may still be saving, and needs
        them for the step it is in.
        """
        watch = self._worker.watch
        watch.beat()
        self._worker.heed()
        if watch.stopping and self._worker.group.leads:
            raise watch.interruption()

    def wants_checkpoint(self) -> bool:
        """Whether it is time to save, or the last moment for it.

        Asked just before a beat, which ends it where rank 0 leaves: that is heard here already.
        """
        self._worker.heed()
        late = time.monotonic() - self._saved > self._worker.checkpoint_minutes * 60
        return late or bool(self._worker.watch.stopping)

    def keep_checkpoint(self, data: bytes) -> None:
        """Sends a checkpoint to rank 0."""
        self._worker.source.keep_checkpoint(self._number, data)
        self._saved = time.monotonic()

    def checkpoint(self) -> bytes | None:
        """The checkpoint that an interrupted search left, if it did."""
        return self._worker.source.checkpoint(self._number) or None

    def known(self, outcome: Outcome) -> dict[str, Any] | None:
        """What rank 0 knows of such a network."""
        return self._worker.source.known(self._number, asdict(outcome))

    def failed(self, reason: str) -> None:
        """Makes sure that all ranks of the group failed; else nobody may go on.

        Where one rank alone fails, as it does when only its GPU is out of memory, the others
        wait for it in a collective operation for ever.

        Raises:
            RunError: If not all did. The candidate is recorded as failed then.
        """
        group, source = self._worker.group, self._worker.source
        if source.meet(f"candidate {self._number} failed", group.ranks.size):
            return
        source.tell(self._number, asdict(Outcome("failed", reason)))
        raise RunError(
            f"candidate {self._number} failed on rank {group.ranks.rank} of group {group.number} "
            f"alone, which leaves the others waiting: {reason}. It is recorded as failed; the "
            "same command goes on from there, and xnas-tf launch does so by itself"
        )


def model_bytes(model: keras.Model) -> bytes:
    """A Keras model as the content of a ``.keras`` file, without its optimizer."""
    with tempfile.TemporaryDirectory(prefix="xnas-tf-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()
