"""Decides what is evaluated next and records what was found, until enough is known."""

from __future__ import annotations

import hashlib
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
from xnas_tf.run.deaths import DEATHS
from xnas_tf.run.directory import checkpoint_path, model_path, now, write_whole
from xnas_tf.run.observer import Observer
from xnas_tf.run.record import Record
from xnas_tf.run.versions import versions
from xnas_tf.strategy import NSGA2, Proposal
from xnas_tf.strategy.front import HypervolumeMeter, extended

PATIENCE = 1000
"""Infeasible proposals in a row after which a search gives up."""


class Conductor:
    """Hands out candidates and takes their outcomes, from wherever the record stands.

    It is what the work queue stands in front of (``Desk``). Going on with a run replays it:
    the algorithm is asked and told again in the order in which it was, and those candidates
    that were in flight are handed out again.

    Args:
        path: The run directory.
        config: The run's configuration.
        record: The run's record.
        algorithm: The search algorithm, fresh.
        observer: Hears of everything that happens.

    Raises:
        RunError: If the algorithm does not ask for what the record holds.
    """

    def __init__(
        self, path: Path, config: Config, record: Record, algorithm: NSGA2, observer: Observer
    ) -> None:
        self._path = path
        self._config = config
        self._record = record
        self._algorithm = algorithm
        self._observer = observer
        self._versions = versions()
        self._open: dict[int, tuple[Candidate, Proposal]] = {}
        self._again: deque[int] = deque()
        self._stale: list[Path] = []
        self._news: deque[Callable[[], None]] = deque()
        self._everyone: list[Candidate] = []
        self._front: list[Candidate] = []
        self._meter = HypervolumeMeter([], config)
        self._volume: float | None = None
        self._answers = self._trained = self._infeasible = 0
        self._is_exhausted = False
        self.ranks_per_group = 1
        self.stopping: Callable[[], int] = lambda: 0
        """The exit code that all ranks are told to leave with: none is said to die then."""
        self._replay()

    # What the groups ask for

    @property
    def is_over(self) -> bool:
        """Whether no task will come any more."""
        return not self._open and not self._may_ask

    def next(self, group: int = 0) -> dict[str, Any] | None:
        """A task for a group; None while, or because, there is none."""
        if self._again:
            number = self._again.popleft()
        elif self._may_ask and self._algorithm.can_ask:
            proposal = self._algorithm.ask()
            if proposal is None:
                self._is_exhausted = True
                self._note("the search space is exhausted: every architecture was proposed")
                return None
            number = proposal.number
            self._open[number] = self._enter(proposal), proposal
        else:
            return None
        candidate, _ = self._open[number]
        candidate.group, candidate.started = group, now()
        self._record.save(candidate)
        return {
            "id": candidate.id,
            "genotype": candidate.genotype,
            "hyperparameters": candidate.hyperparameters,
            "seed": candidate.seed,
        }

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """Whether a candidate is Pareto-optimal by what is known now, so that its model is
        kept."""
        if number not in self._open or outcome["state"] != "done":
            return False
        finished = replace(self._open[number][0], **outcome)
        return extended(self._front, finished, self._config) is not self._front

    def keep_model(self, number: int, data: bytes) -> None:
        """Keeps a candidate's model, the content of a Keras file."""
        write_whole(model_path(self._path, number), data)

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """Keeps what a candidate's training can go on from, in place of what was kept."""
        if number in self._open:
            path = checkpoint_path(self._path, number)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, data)

    def checkpoint(self, number: int) -> bytes:
        """What a candidate's training can go on from; empty if nothing was kept."""
        path = checkpoint_path(self._path, number)
        return path.read_bytes() if path.is_file() else b""

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """Takes a candidate's outcome. Only the first counts: one that was given up as hung
        may end after all."""
        if number not in self._open:
            return
        candidate, proposal = self._open[number]
        self._answers += 1
        ended = replace(candidate, **outcome, finished=now(), answer=self._answers)
        self._record.save(ended)
        self._settle(ended, proposal, is_new=True)

    def lost(self, rank: int) -> None:
        """Notes with a candidate that a rank of its group died, unless all are told to leave."""
        group = rank // self.ranks_per_group
        for candidate, _ in self._open.values() if not self.stopping() else ():
            if candidate.group == group:
                candidate.deaths += 1
                self._record.save(candidate)
                self._note(f"rank {rank} died while candidate {candidate.id} was trained")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Inside, everything is recorded at once when it ends, and only then shown."""
        with self._record.together():
            yield
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
            if self._front and self._algorithm.is_amid_generation:
                self._show_generation(self._algorithm.generation + 1)
            self._record.set_fact("ended", True)
        if not self._front:
            raise RunError(self._nothing_found())

    # What follows from it

    @property
    def _may_ask(self) -> bool:
        """Whether more trainings are wanted than are done or open, and can be had."""
        wanted = self._config.search.candidates
        gave_up = self._is_exhausted or self._infeasible >= PATIENCE
        return not gave_up and self._trained + len(self._open) < wanted

    def _enter(self, proposal: Proposal) -> Candidate:
        digest = hashlib.sha256(proposal.genotype.encode()).digest()
        words = np.frombuffer(digest[:16], "<u4").tolist()
        seeds = np.random.SeedSequence([self._config.search.seed, *words])
        return Candidate(
            id=proposal.number,
            genotype=proposal.genotype,
            hyperparameters=proposal.hyperparameters,
            parents=proposal.parents,
            generation=proposal.generation,
            seed=int(seeds.generate_state(1)[0] >> 1),
            epochs=self._config.training.epochs,
            versions=self._versions,
            answers_before=self._answers,
        )

    def _settle(self, candidate: Candidate, proposal: Proposal, is_new: bool) -> None:
        del self._open[candidate.id]
        self._stale.append(checkpoint_path(self._path, candidate.id))
        # Only what the front and its picture need stays in memory.
        self._everyone.append(replace(candidate, history=[], metrics={}, versions={}))
        self._enter_front(candidate)
        if candidate.trained:
            self._trained += 1
            self._infeasible = 0
            self._tell_algorithm(candidate, proposal, is_new)
        else:
            self._algorithm.reject(proposal)
            self._count_infeasible(candidate)
        hypervolume = self._hypervolume() if is_new else 0.0
        self._news.append(
            partial(self._observer.candidate, candidate, is_new, self._front, hypervolume)
        )

    def _enter_front(self, candidate: Candidate) -> None:
        front = extended(self._front, candidate, self._config)
        if candidate.state == "done" and candidate.generation == 0:
            # The box that hypervolume is measured in has grown.
            self._meter, self._volume = HypervolumeMeter(self._everyone, self._config), None
        if front is not self._front:
            self._front, self._volume = front, None

    def _hypervolume(self) -> float:
        """The front's hypervolume, measured again only when it has changed."""
        if self._volume is None:
            self._volume = self._meter(self._front)
        return self._volume

    def _tell_algorithm(self, candidate: Candidate, proposal: Proposal, is_new: bool) -> None:
        values, violation = None, 0.0
        if candidate.state == "done":
            values = [candidate.objectives[o.name] for o in self._config.objectives]
            violation = candidate.violation(self._config.constraints)
        if self._algorithm.tell(proposal, candidate.id, values, violation):
            self._show_generation(self._algorithm.generation)
        if is_new:
            self._record.set_fact("duplicates", self._algorithm.duplicates)

    def _count_infeasible(self, candidate: Candidate) -> None:
        self._infeasible += 1
        if self._infeasible == PATIENCE:
            self._note(
                f"{PATIENCE} proposals in a row were infeasible, the last one because "
                f"{candidate.reason}; the search ends here"
            )

    def _show_generation(self, generation: int) -> None:
        """Shows the front after a generation, unless an earlier search did."""
        if generation > (self._record.fact("generations") or 0):
            volume = self._hypervolume()
            news = generation, self._everyone, self._front, volume
            self._news.append(partial(self._observer.generation, *news))
            self._record.set_fact("generations", generation)

    def _note(self, text: str) -> None:
        self._news.append(partial(self._observer.note, text))

    def _nothing_found(self) -> str:
        failed = [c for c in self._everyone if c.state == "failed"]
        limits = f"{len(self._everyone) - len(failed)} kept no constraint or were infeasible"
        reason = f"; candidate {failed[0].id} failed: {failed[0].reason}" if failed else ""
        return (
            f"no candidate can be recommended: {len(failed)} of {len(self._everyone)} failed, "
            f"{limits}{reason}. All of them are recorded in {self._path}"
        )

    # Going on with a run

    def _replay(self) -> None:
        candidates = self._record.candidates()
        ended = deque(sorted((c for c in candidates if c.answer), key=lambda c: c.answer))
        for candidate in candidates:
            while self._answers < candidate.answers_before:
                self._tell_again(ended.popleft())
            self._open[candidate.id] = candidate, self._ask_again(candidate)
        while ended:
            self._tell_again(ended.popleft())
        with self.together():
            for candidate, _ in list(self._open.values()):
                self._resume(candidate)

    def _resume(self, candidate: Candidate) -> None:
        """Puts a candidate that was in flight in line again, unless it is deadly."""
        if candidate.deaths >= DEATHS:
            reason = f"a rank of its group died {candidate.deaths} times while it was trained"
            self.tell(candidate.id, {"state": "failed", "reason": reason})
            return
        candidate.group = NO_GROUP
        self._record.save(candidate)
        self._again.append(candidate.id)

    def _ask_again(self, candidate: Candidate) -> Proposal:
        proposal = self._algorithm.ask()
        asked = (proposal.number, proposal.genotype) if proposal else None
        if asked != (candidate.id, candidate.genotype):
            raise RunError(
                f"{self._path} cannot go on: where its record has candidate {candidate.id} "
                f"({candidate.genotype}), the search now proposes {asked}. Was it begun with "
                "another version of xnas-tf or of the search space? --fresh starts anew"
            )
        return proposal

    def _tell_again(self, candidate: Candidate) -> None:
        self._answers += 1
        self._settle(candidate, self._open[candidate.id][1], is_new=False)
