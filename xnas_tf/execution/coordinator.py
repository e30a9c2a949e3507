"""The coordinator: asks the algorithm for candidates, hands them out and records their results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from xnas_tf.candidate import NO_GROUP, Candidate, Result
from xnas_tf.config import Config, differences
from xnas_tf.errors import RunError
from xnas_tf.execution.callbacks import Callback, Callbacks
from xnas_tf.execution.result_cache import ResultCache
from xnas_tf.execution.rungs import Promotions
from xnas_tf.execution.search_run import SearchRun, SearchState
from xnas_tf.execution.stopping import StoppingCriteria
from xnas_tf.execution.task_source import Task
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import (
    checkpoint_path,
    config_changes,
    model_path,
    now,
    save_config,
    write_atomically,
)
from xnas_tf.strategy import Algorithm, Proposal
from xnas_tf.utils.randomness import candidate_seed
from xnas_tf.utils.versions import versions

MAX_LOST_GROUPS = 2
"""Number of lost groups or processes after which a candidate counts as failed. Those after a new
checkpoint do not count: the next attempt begins further on, so the candidate will be finished."""
EVALUATING = ".evaluating"
"""File of a run with the id of the candidate that the search's own process evaluates. It is deleted
when a checkpoint is saved, and when the process ends in order, which is possible even on a full
disk."""


@dataclass(eq=False)
class Coordinator:
    """A ``TaskSource`` that hands out candidates and records their results.

    A run is resumed by replaying it: ``ask`` and ``tell`` are called again in the recorded order,
    and candidates without a result are handed out again. ``clock`` measures ``search.hours`` in
    seconds, and ``networks`` has the results of earlier runs. If this process itself evaluates the
    candidates (``in_process``) and dies meanwhile, that counts as a lost group.

    Raises:
        RunError: If the algorithm does not propose the candidates in the database.
    """

    path: Path
    config: Config
    database: Database
    algorithm: Algorithm
    callbacks: Callbacks = field(default_factory=Callbacks)
    clock: Callable[[], float] = time.monotonic
    networks: ResultCache = field(default_factory=ResultCache)
    in_process: bool = False

    def __post_init__(self) -> None:
        self._versions = versions()
        self._latest_versions: dict[str, str] = {}
        """Versions of the packages used for the latest result of an earlier session."""
        self._marker = self.path / EVALUATING
        self._is_marking = self.in_process
        self._pending: dict[int, Candidate] = {}
        """Candidates without a result, by id."""
        self._proposals: dict[int, Proposal] = {}
        """The algorithm's proposals for the pending candidates; a promotion has none."""
        self._begun: dict[int, tuple[float, float]] = {}
        """When a candidate was handed out: its seconds until then, and those of the search."""
        self._advanced: set[int] = set()
        """Ids of candidates that have a new checkpoint since they were last handed out."""
        self._queue: deque[int] = deque()
        """Ids of the pending candidates that are not being evaluated."""
        self._last_id = 0
        kept = self.path.glob("checkpoints/*.npz")
        self._checkpointed = {int(file.stem) for file in kept if file.stem.isdecimal()}
        self._obsolete_checkpoints: list[Path] = []
        self._notifications: deque[Callable[[Callback], None]] = deque()
        self._state = SearchState(self.config)
        self._promotions = Promotions(self.path, self.config)
        self._stopping = StoppingCriteria(self.config.search, self.database, self._note, self.clock)
        self.run = SearchRun(self.path, self.config, self._state, self._stopping.stop)
        self._has_ended = bool(self.database.fact("ended"))
        self._results = 0
        self._duplicates = 0
        self._replay()
        self._record_config()

    # Called by workers and drivers

    @property
    def is_over(self) -> bool:
        """Whether there will be no more tasks."""
        can_promote = not self._pending and self._promotions.is_any and self._stopping.has_time
        return not self._pending and self._left <= 0 and not can_promote

    def ask(self, group: int = 0) -> Task | None:
        """See ``TaskSource.ask``."""
        self._give_up()
        if not self._queue:
            self._promote(is_idle=False)
        if not self._queue and not self._propose() and not self._promote(is_idle=True):
            return None
        waiting = self._pending[self._queue.popleft()]
        candidate = replace(waiting, group=group, started=now(), versions=self._versions)
        self._save(candidate)
        self._advanced.discard(candidate.id)
        if self._is_marking:
            self.release()
            with self._marker.open("x") as file:  # never through a link that somebody put there
                file.write(str(candidate.id))
        self._begun[candidate.id] = candidate.seconds_total, self._stopping.seconds
        begun = deepcopy(candidate)  # callbacks must not change what the search uses
        self._notify(lambda callback: callback.on_candidate_begin(self.run, begun))
        return candidate

    def known(self, task: Task, result: Result) -> Result | None:
        """See ``TaskSource.known``. A network that another group is training counts as unknown."""
        if task.id not in self._pending:
            return None
        return self.networks.answer(task, result, self._state.wants, partial(self.save_model, task))

    def wants_model(self, task: Task, result: Result) -> bool:
        """Return whether a candidate is Pareto-optimal so far, in which case its model is saved."""
        if task.id not in self._pending or result.state != "done":
            return False
        return self._state.wants(task.with_result(result))

    def save_model(self, task: Task, data: bytes) -> None:
        """See ``TaskSource.save_model``."""
        write_atomically(model_path(self.path, task.id), data)

    def save_checkpoint(self, task: Task, data: bytes) -> None:
        """See ``TaskSource.save_checkpoint``."""
        if candidate := self._pending.get(task.id):
            self._checkpointed.add(task.id)
            path = checkpoint_path(self.path, task.id)
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, data)
            if task.id in self._begun:  # otherwise its group was lost meanwhile
                before, begin = self._begun[task.id]
                spent = before + self._stopping.seconds - begin
                self._save(replace(candidate, seconds={"train": spent}))
                self._advanced.add(task.id)
                self.release()
            self._stopping.save()

    def checkpoint(self, task: Task) -> bytes:
        """See ``TaskSource.checkpoint``."""
        return self._promotions.state(task) if task.id in self._pending else b""

    def on_epoch_end(self, task: Task, history: list[dict[str, float]]) -> None:
        """See ``TaskSource.on_epoch_end``."""
        if task.id in self._pending:
            candidate = replace(deepcopy(task), history=deepcopy(history))
            epoch, logs = len(history), candidate.history[-1]
            self._notify(lambda callback: callback.on_epoch_end(self.run, candidate, epoch, logs))

    def tell(self, task: Task, result: Result) -> None:
        """Record a candidate's result.

        Only the first result counts: an evaluation that was considered hung may still end.
        """
        if task.id not in self._pending:
            return
        self._results += 1
        pending = self._pending[task.id]
        candidate = pending.with_result(result)
        candidate = replace(candidate, finished=now(), finish_order=self._results)
        before, _ = self._begun.pop(task.id, (pending.seconds_total, 0.0))
        if before:
            candidate.seconds["train"] = candidate.seconds.get("train", 0.0) + before
        self.database.save(candidate)
        self._stopping.save()
        ended = self.run.located(deepcopy(candidate))
        self._notify(lambda callback: callback.on_candidate_end(self.run, ended))
        self._finish(candidate)

    def requeue(self, task: Task, why: str, is_blamed: bool = True) -> None:
        """Requeue a candidate at the front after the loss of its group; it keeps its checkpoint.

        A candidate that may have caused ``MAX_LOST_GROUPS`` losses is recorded as failed instead.
        """
        if is_blamed:
            self.lost(task, why)
        if candidate := self._pending.get(task.id):
            self._begun.pop(task.id, None)
            self._save(replace(candidate, group=NO_GROUP))
            self._queue.appendleft(task.id)
            self._give_up()

    def lost(self, task: Task, why: str) -> None:
        """See ``TaskSource.lost``."""
        if candidate := self._pending.get(task.id):
            if task.id not in self._advanced:
                self._save(replace(candidate, lost_groups=candidate.lost_groups + 1))
            self._note(f"candidate {task.id} lost a rank of group {candidate.group}: {why}")
            self.release()

    def release(self) -> None:
        """Record that this process may now end without its current candidate being to blame."""
        with suppress(OSError):  # on a disk that has failed, nothing can be recorded
            self._marker.unlink(missing_ok=True)

    def stop_blaming(self) -> None:
        """Record that this process may now end without any candidate being to blame.

        Any thread may call this, even while ``ask`` takes long to propose the next candidate.
        """
        self._is_marking = False
        self.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes made in the context as one transaction, then call the callbacks."""
        with self.database.transaction():
            yield
            if self.algorithm.duplicates > self._duplicates:
                self._duplicates = self.algorithm.duplicates
                self.database.set_fact("duplicates", self._duplicates)
        while self._notifications:
            self.callbacks.call(self._notifications.popleft())
        while self._obsolete_checkpoints:  # only after the commit
            self._obsolete_checkpoints.pop().unlink(missing_ok=True)

    def end(self) -> None:
        """Record the end of the search, unless it is already recorded and nothing has begun since.

        Raises:
            RunError: If no candidate can be recommended.
        """
        with self.transaction():
            if not self._has_ended:
                is_beyond = self.algorithm.is_generation_started or len(self.config.rungs) > 1
                if self._state.front and is_beyond:
                    self._notify_generation(self.algorithm.generation + 1)
                self.database.set_fact("ended", True)
                self._stopping.end()
            self._obsolete_checkpoints += [
                checkpoint_path(self.path, n) for n in self._checkpointed
            ]
        if not self._state.front:
            raise RunError(
                f"{self._state.explain_empty_front()}. All of them are recorded in {self.path}"
            )

    # From the algorithm to the queue

    @property
    def _left(self) -> int:
        """Number of candidates to propose, not counting those that are finished or pending."""
        return self._stopping.left(len(self._pending) - self._promotions.open)

    def _propose(self) -> bool:
        """Queue a new candidate from the algorithm; return whether there was one."""
        if not (self._left > 0 and self.algorithm.can_ask):
            return False
        proposal = self.algorithm.ask()
        if proposal is None:
            self._stopping.close("the search space is exhausted: every architecture was proposed")
            return False
        candidate = Candidate(
            id=self._last_id + 1,
            genotype=proposal.genotype,
            hyperparameters=proposal.hyperparameters,
            parents=proposal.parents,
            generation=proposal.generation,
            seed=candidate_seed(self.config.search.seed, proposal.genotype),
            epochs=self.config.rungs[0],
            finished_before=self._results,
        )
        self._queue.append(candidate.id)
        self._begin(candidate, proposal)
        return True

    def _promote(self, is_idle: bool) -> bool:
        """Put a promotion at the front of the queue; return whether there was one."""
        candidate = self._promotions.next(self._last_id + 1, is_idle)
        if candidate is None or not self._stopping.has_time:
            return False
        self._queue.appendleft(candidate.id)
        self._begin(replace(candidate, finished_before=self._results), None)
        return True

    def _begin(self, candidate: Candidate, proposal: Proposal | None) -> None:
        """Add a new pending candidate, even if the search has already ended."""
        if self._has_ended:
            # More candidates are requested than before: the last generation may be incomplete.
            self._has_ended = False
            self.database.set_fact("ended", False)
            self.database.set_fact("generations", self.algorithm.generation)
        self._add_pending(candidate, proposal)

    def _add_pending(self, candidate: Candidate, proposal: Proposal | None) -> None:
        self._pending[candidate.id] = candidate
        self._last_id = candidate.id
        if proposal:
            self._proposals[candidate.id] = proposal
        else:
            self._promotions.begin(candidate)

    def _save(self, candidate: Candidate) -> None:
        """Record a pending candidate that has changed."""
        self._pending[candidate.id] = candidate
        self.database.save(candidate)

    def _give_up(self) -> None:
        """Record candidates at the front that lost their groups too many times as failed."""
        while self._queue and self._pending[self._queue[0]].lost_groups >= MAX_LOST_GROUPS:
            candidate = self._pending[self._queue.popleft()]
            reason = (
                f"its process died {candidate.lost_groups} times while it was evaluated, as "
                "happens if memory runs out"
            )
            self.tell(candidate, Result("failed", reason))

    # From a result to the algorithm and the callbacks

    def _finish(self, candidate: Candidate) -> None:
        """Update everything that depends on results after a candidate has finished."""
        del self._pending[candidate.id]
        self._promotions.update(candidate)
        for number in self._checkpointed.intersection(self._promotions.useless(candidate)):
            self._obsolete_checkpoints.append(checkpoint_path(self.path, number))
        self._state.add(candidate)
        self.networks.update(candidate)
        self._stopping.update(candidate, self._state)
        if proposal := self._proposals.pop(candidate.id, None):
            if candidate.counts:
                self._tell_algorithm(candidate, proposal)
            else:
                self.algorithm.reject(proposal)

    def _tell_algorithm(self, candidate: Candidate, proposal: Proposal) -> None:
        values, violation = None, 0.0
        if candidate.state == "done":
            values = [candidate.objectives[o.name] for o in self.config.objectives]
            violation = candidate.violation(self.config.constraints)
        if self.algorithm.tell(proposal, candidate.id, values, violation):
            self._notify_generation(self.algorithm.generation)

    def _notify_generation(self, generation: int) -> None:
        """Call the callbacks after a generation, unless an earlier session already did."""
        if generation > (self.database.fact("generations") or 0):
            self._notify(lambda callback: callback.on_generation_end(self.run, generation))
            self.database.set_fact("generations", generation)

    def _note(self, text: str) -> None:
        self._notify(lambda callback: callback.on_message(text))

    def _notify(self, method: Callable[[Callback], None]) -> None:
        self._notifications.append(method)

    # Resuming a run

    def _replay(self) -> None:
        candidates = self.database.candidates()
        ended = [candidate for candidate in candidates if candidate.finish_order]
        finished = deque(sorted(ended, key=lambda c: c.finish_order))
        own = (candidate.versions for candidate in reversed(finished) if not candidate.reused_from)
        self._latest_versions = next(own, {})
        for candidate in candidates:
            while self._results < candidate.finished_before:
                self._tell_again(finished.popleft())
            proposal = None if candidate.promoted_from else self._ask_again(candidate)
            self._add_pending(candidate, proposal)
        while finished:
            self._tell_again(finished.popleft())
        with self.database.transaction():  # the callbacks are called once the search has begun
            for candidate in list(self._pending.values()):
                self._save(replace(candidate, group=NO_GROUP))
                self._queue.append(candidate.id)
            self._count_lost_process()

    def _count_lost_process(self) -> None:
        """Count a process of an earlier session that died while it evaluated a candidate."""
        marked = self._marker.read_bytes() if self._marker.is_file() else b""
        if candidate := self._pending.get(int(marked) if marked.isdigit() else 0):
            self._save(replace(candidate, lost_groups=candidate.lost_groups + 1))
            self._note(
                f"the process died while candidate {candidate.id} was evaluated, before a new "
                f"checkpoint was saved; after {MAX_LOST_GROUPS} times, a candidate is recorded as "
                "failed"
            )
        self.release()

    def _record_config(self) -> None:
        """Record this session's configuration, unless nothing is left to train.

        Otherwise, a longer search could be recorded as a shorter one.
        """
        changes = config_changes(self.path, self.config)
        if not (self._has_ended and self.is_over):
            if changes:
                save_config(self.path, self.config)
            self._note_versions()
            return
        because = self.database.fact("ended_because")  # None in runs from earlier versions
        ended = f"the search has already ended ({because})" if because else "the search has ended"
        kept = f"; these changes have no effect and are not recorded: {', '.join(changes)}"
        self._note(f"{ended}, and nothing is left to train{kept if changes else ''}")

    def _note_versions(self) -> None:
        """Warn if packages, with which results may vary, have other versions than before."""
        shared = self._latest_versions.keys() & self._versions.keys()
        before, here = ({n: v[n] for n in shared} for v in (self._latest_versions, self._versions))
        if lines := differences(before, here, "before, now"):
            self._note(
                f"warning: versions have changed since the latest result ({', '.join(lines)}): the "
                "same network may now get slightly different values"
            )

    def _ask_again(self, candidate: Candidate) -> Proposal:
        proposal = self.algorithm.ask(candidate.genotype)
        if proposal is None or proposal.genotype != candidate.genotype:
            proposed = proposal and proposal.genotype
            raise RunError(
                f"{self.path} cannot be resumed: candidate {candidate.id} in its database is "
                f"{candidate.genotype}, but the search now proposes {proposed}. Was the run "
                "started with another version of xnas-tf or of the search space? Use `fresh` to "
                "start a new run"
            )
        return proposal

    def _tell_again(self, candidate: Candidate) -> None:
        self._results += 1
        self._finish(candidate)
