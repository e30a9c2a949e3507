"""Decides what is evaluated next and records what was found, until enough is known."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.candidate import NO_GROUP, Candidate
from xnas_tf.config import Config
from xnas_tf.errors import RunError
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.result_cache import ResultCache
from xnas_tf.execution.rungs import Promotions
from xnas_tf.execution.search_state import SearchState
from xnas_tf.execution.stopping import StoppingCriteria
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import checkpoint_path, model_path, now, write_whole
from xnas_tf.strategy import Algorithm, Proposal
from xnas_tf.utils.versions import versions

DEATHS = 2
"""Losses of its group after which a candidate counts as failed."""


class Coordinator:
    """Hands out candidates and takes their outcomes, from wherever the record stands.

    A ``TaskSource``. Going on with a run replays it: the algorithm is asked and told again in the
    order in which it was, and those candidates that were in flight are handed out again.

    Args:
        path: The run directory.
        config: The run's configuration.
        record: The run's record.
        algorithm: The search algorithm, fresh.
        observer: Hears of everything that happens.
        clock: Tells the seconds that ``search.hours`` limits.
        networks: What earlier runs know of networks.

    Raises:
        RunError: If the algorithm does not ask for what the record holds.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        record: Database,
        algorithm: Algorithm,
        observer: Callback,
        clock: Callable[[], float] = time.monotonic,
        networks: ResultCache | None = None,
    ) -> None:
        self._path = path
        self._config = config
        self._record = record
        self._algorithm = algorithm
        self._observer = observer
        self._versions = versions()
        self._networks = networks or ResultCache()
        self._open: dict[int, tuple[Candidate, Proposal | None]] = {}
        """With the algorithm's proposal; None with a promotion."""
        self._last = 0
        """The id of the latest candidate."""
        self._line: deque[int] = deque()
        kept = checkpoint_path(path, 0).parent.glob("*.npz")
        self._checkpointed = {int(file.stem) for file in kept if file.stem.isdecimal()}
        self._stale: list[Path] = []
        self._news: deque[Callable[[], None]] = deque()
        self._state = SearchState(config)
        self._promotions = Promotions(path, config)
        self._limits = StoppingCriteria(config.search, record, self._note, clock)
        self._has_ended = bool(record.fact("ended"))
        self._answers = 0
        self._duplicates = 0
        self.groups = 1
        self._replay()

    # What the groups ask for

    @property
    def is_over(self) -> bool:
        """Whether no task will come any more."""
        can_promote = not self._open and self._promotions.is_any and self._limits.has_time
        return not self._open and self._left <= 0 and not can_promote

    def next(self, group: int = 0) -> dict[str, Any] | None:
        """A task for a group; None while, or because, there is none."""
        if not self._line:
            self._promote(is_idle=False)
        if not self._line and not self._propose() and not self._promote(is_idle=True):
            return None
        candidate, _ = self._open[self._line.popleft()]
        candidate.group, candidate.started = group, now()
        self._record.save(candidate)
        return {
            "id": candidate.id,
            "genotype": candidate.genotype,
            "hyperparameters": candidate.hyperparameters,
            "seed": candidate.seed,
            "epochs": candidate.epochs,
            "promoted_from": candidate.promoted_from,
        }

    def known(self, number: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """What is known of the network of a candidate whose outcome has its digest and costs:
        fields of the outcome, in place of a training. One that another group is training is
        not known yet."""
        if number not in self._open:
            return None
        candidate = replace(self._open[number][0], **outcome)
        keep = partial(self.keep_model, number)
        return self._networks.answer(candidate, self._state.wants, keep)

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """Whether a candidate is Pareto-optimal by what is known now, so that its model is
        kept."""
        if number not in self._open or outcome["state"] != "done":
            return False
        return self._state.wants(replace(self._open[number][0], **outcome))

    def keep_model(self, number: int, data: bytes) -> None:
        """Keeps a candidate's model, the content of a Keras file."""
        write_whole(model_path(self._path, number), data)

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """Keeps what a candidate's training can go on from, in place of what was kept."""
        if number in self._open:
            self._checkpointed.add(number)
            path = checkpoint_path(self._path, number)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, data)
            self._limits.save()

    def checkpoint(self, number: int) -> bytes:
        """What a candidate's training can go on from; empty if nothing was kept."""
        return self._promotions.state(self._open[number][0]) if number in self._open else b""

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """Takes a candidate's outcome. Only the first counts: one that was given up as hung
        may end after all."""
        if number not in self._open:
            return
        candidate, proposal = self._open[number]
        self._answers += 1
        news = {**outcome, "finished": now(), "answer": self._answers}
        self._record.update(number, news)
        self._limits.save()
        self._settle(replace(candidate, **news), proposal, is_new=True)

    def requeue(self, number: int, why: str, is_blamed: bool = True) -> None:
        """Makes a candidate whose group was lost the next in line, from its last checkpoint; one
        that has cost its group twice is recorded as failed.

        Args:
            number: The candidate.
            why: What happened.
            is_blamed: Whether it may have been the candidate.
        """
        if is_blamed:
            self.lost(number, why)
        if number in self._open and self._resume(self._open[number][0]):
            self._line.rotate(1)

    def lost(self, number: int, why: str) -> None:
        """Notes with a candidate that a rank was lost while it was trained."""
        if number in self._open:
            candidate, _ = self._open[number]
            candidate.deaths += 1
            self._record.save(candidate)
            self._note(f"candidate {number} lost a rank of its group {candidate.group}: {why}")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Inside, everything is recorded at once when it ends, and only then shown."""
        with self._record.together():
            yield
            self._record_duplicates()
        while self._news:
            self._news.popleft()()
        while self._stale:  # not before it is recorded that they are of no use
            self._stale.pop().unlink(missing_ok=True)

    def end(self) -> None:
        """Closes a search that is over.

        Raises:
            RunError: If no candidate can be recommended.
        """
        with self.together():
            is_beyond = self._algorithm.is_amid_generation or len(self._config.rungs) > 1
            if self._state.front and is_beyond:
                self._show_generation(self._algorithm.generation + 1)
            self._record.set_fact("ended", True)
            self._limits.end()
            self._stale += [checkpoint_path(self._path, n) for n in self._checkpointed]
        if not self._state.front:
            raise RunError(
                f"{self._state.why_nothing()}. All of them are recorded in {self._path}"
            )

    # What follows from it

    @property
    def _left(self) -> int:
        """Trainings wanted beside those that are done or open, if they can be had."""
        return self._limits.left(len(self._open) - self._promotions.open)

    def _propose(self) -> bool:
        """Puts a new candidate in line; returns whether there was one."""
        if not (self._left > 0 and self._algorithm.can_ask):
            return False
        proposal = self._algorithm.ask()
        if proposal is None:
            self._limits.close("the search space is exhausted: every architecture was proposed")
            return False
        self._line.append(self._begin(self._enter(proposal), proposal))
        return True

    def _promote(self, is_idle: bool) -> bool:
        """Puts a promotion first in line; returns whether there was one."""
        candidate = self._promotions.next(self._last + 1, is_idle)
        if candidate is None or not self._limits.has_time:
            return False
        candidate.versions, candidate.answers_before = self._versions, self._answers
        self._line.appendleft(self._begin(candidate, None))
        return True

    def _begin(self, candidate: Candidate, proposal: Proposal | None) -> int:
        """Notes that a new candidate is open; returns its id."""
        if self._has_ended:
            self._reopen()
        self._note_open(candidate, proposal)
        return candidate.id

    def _note_open(self, candidate: Candidate, proposal: Proposal | None) -> None:
        self._open[candidate.id] = candidate, proposal
        self._last = candidate.id
        if proposal is None:
            self._promotions.begin(candidate)

    def _reopen(self) -> None:
        """Takes back that the search has ended, and that a generation is complete which is not:
        it goes on with more trainings than were wanted before."""
        self._has_ended = False
        self._record.set_fact("ended", False)
        self._record.set_fact("generations", self._algorithm.generation)

    def _enter(self, proposal: Proposal) -> Candidate:
        digest = hashlib.sha256(proposal.genotype.encode()).digest()
        words = np.frombuffer(digest[:16], "<u4").tolist()
        seeds = np.random.SeedSequence([self._config.search.seed, *words])
        return Candidate(
            id=self._last + 1,
            genotype=proposal.genotype,
            hyperparameters=proposal.hyperparameters,
            parents=proposal.parents,
            generation=proposal.generation,
            seed=int(seeds.generate_state(1)[0] >> 1),
            epochs=self._config.rungs[0],
            versions=self._versions,
            answers_before=self._answers,
        )

    def _settle(self, candidate: Candidate, proposal: Proposal | None, is_new: bool) -> None:
        del self._open[candidate.id]
        self._promotions.heed(candidate)
        for number in self._checkpointed.intersection(self._promotions.useless(candidate)):
            self._stale.append(checkpoint_path(self._path, number))
        self._state.enter(candidate)
        self._networks.heed(candidate)
        self._limits.heed(candidate, self._state)
        if proposal and candidate.counts:
            self._tell_algorithm(candidate, proposal)
        elif proposal:
            self._algorithm.reject(proposal)
        hypervolume = self._state.hypervolume if is_new else 0.0
        news = candidate, is_new, self._state.front, hypervolume
        self._news.append(partial(self._observer.candidate, *news))

    def _tell_algorithm(self, candidate: Candidate, proposal: Proposal) -> None:
        values, violation = None, 0.0
        if candidate.state == "done":
            values = [candidate.objectives[o.name] for o in self._config.objectives]
            violation = candidate.violation(self._config.constraints)
        if self._algorithm.tell(proposal, candidate.id, values, violation):
            self._show_generation(self._algorithm.generation)

    def _record_duplicates(self) -> None:
        if self._algorithm.duplicates > self._duplicates:
            self._duplicates = self._algorithm.duplicates
            self._record.set_fact("duplicates", self._duplicates)

    def _show_generation(self, generation: int) -> None:
        """Shows the front after a generation, unless an earlier search did."""
        if generation > (self._record.fact("generations") or 0):
            found = self._state
            news = generation, found.everyone, found.front, found.hypervolume
            self._news.append(partial(self._observer.generation, *news))
            self._record.set_fact("generations", generation)

    def _note(self, text: str) -> None:
        self._news.append(partial(self._observer.note, text))

    # Going on with a run

    def _replay(self) -> None:
        candidates = self._record.candidates()
        ended = deque(sorted((c for c in candidates if c.answer), key=lambda c: c.answer))
        for candidate in candidates:
            while self._answers < candidate.answers_before:
                self._tell_again(ended.popleft())
            proposal = None if candidate.promoted_from else self._ask_again(candidate)
            self._note_open(candidate, proposal)
        while ended:
            self._tell_again(ended.popleft())
        with self.together():
            for candidate, _ in list(self._open.values()):
                self._resume(candidate)

    def _resume(self, candidate: Candidate) -> bool:
        """Puts a candidate that was in flight last in line again, unless it is deadly."""
        if candidate.deaths >= DEATHS:
            reason = f"a rank of its group died {candidate.deaths} times while it was trained"
            self.tell(candidate.id, {"state": "failed", "reason": reason})
            return False
        candidate.group = NO_GROUP
        self._record.save(candidate)
        self._line.append(candidate.id)
        return True

    def _ask_again(self, candidate: Candidate) -> Proposal:
        proposal = self._algorithm.ask(candidate.genotype)
        if proposal is None or proposal.genotype != candidate.genotype:
            asked = proposal and proposal.genotype
            raise RunError(
                f"{self._path} cannot go on: where its record has candidate {candidate.id} "
                f"({candidate.genotype}), the search now proposes {asked}. Was it begun with "
                "another version of xnas-tf or of the search space? --fresh starts anew"
            )
        return proposal

    def _tell_again(self, candidate: Candidate) -> None:
        self._answers += 1
        self._settle(candidate, self._open[candidate.id][1], is_new=False)
