"""Rank 0's part of a search: ask, evaluate, record, tell, until enough is known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import tensorflow as tf

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RunError
from xnas_tf.evaluation.evaluator import Evaluator, Outcome
from xnas_tf.registry import describe
from xnas_tf.report.tensorboard import TensorBoard
from xnas_tf.run.directory import model_path
from xnas_tf.run.finish import finish
from xnas_tf.run.progress import Progress
from xnas_tf.run.record import Record
from xnas_tf.run.versions import versions
from xnas_tf.spaces.space import SearchSpace
from xnas_tf.strategy import NSGA2, Proposal
from xnas_tf.strategy.front import HypervolumeMeter, pareto_front

PATIENCE = 1000
"""Infeasible proposals in a row after which a search gives up."""


class Conductor:
    """Runs one search, from wherever its record stands.

    Going on with a run replays it: the algorithm asks for the same candidates again, and
    those that the record holds are answered from it.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        record: Record,
        dataset: Dataset,
        space: SearchSpace,
        evaluator: Evaluator,
        communicator: Communicator,
    ) -> None:
        self._path = path
        self._config = config
        self._record = record
        self._dataset = dataset
        self._evaluator = evaluator
        self._communicator = communicator
        search = config.search
        self._algorithm = NSGA2(
            space,
            [objective.direction for objective in config.objectives],
            search.population,
            np.random.default_rng(search.seed),
            search.crossover,
            search.mutation,
        )
        self._board = TensorBoard(path / "tensorboard", config, space.variables)
        self._versions = versions()
        self._everyone: list[Candidate] = []
        self._front: list[Candidate] = []

    def run(self) -> None:
        """Searches until the requested number of candidates is trained or none is left."""
        self._record.set_fact("dataset", _facts(self._dataset))
        try:
            with Progress(self._config, self._path) as progress:
                self._search(progress)
                self._communicator.broadcast(None)  # the other ranks are done
                if not self._front:
                    raise RunError(self._nothing_found())
                if self._algorithm.is_amid_generation:
                    self._draw_front(self._algorithm.generation + 1)
                self._record.set_fact("ended", True)
                finish(self._path, self._record, self._dataset, self._board, progress)
        except RuntimeError as error:  # Horovod's own class exists only where Horovod does
            if self._communicator.size == 1:
                raise
            raise RunError(f"another rank died: {describe(error)}") from error
        except (OSError, tf.errors.OpError) as error:
            raise RunError(
                f"{self._path} cannot be written: {describe(error)}. What was finished is "
                "recorded; the same command goes on from there"
            ) from error

    def _search(self, progress: Progress) -> None:
        trained = infeasible = 0
        while trained < self._config.search.candidates:
            proposal = self._algorithm.ask()
            if proposal is None:
                progress.note("the search space is exhausted: every architecture was proposed")
                return
            candidate, is_new = self._settle(proposal)
            infeasible = 0 if candidate.trained else infeasible + 1
            if infeasible >= PATIENCE:
                progress.note(
                    f"{PATIENCE} proposals in a row were infeasible, the last one because "
                    f"{candidate.reason}; the search ends here"
                )
                return
            if candidate.trained:
                trained += 1
                self._tell(proposal, candidate, is_new)
            else:
                self._algorithm.reject(proposal)
            progress.candidate(candidate, is_new, self._front, self._hypervolume(is_new))

    def _hypervolume(self, is_new: bool) -> float:
        """The front's hypervolume; 0 while a run is replayed, when nobody watches."""
        return HypervolumeMeter(self._everyone, self._config)(self._front) if is_new else 0.0

    def _settle(self, proposal: Proposal) -> tuple[Candidate, bool]:
        """The finished candidate of a proposal, and whether it was evaluated just now."""
        candidate = self._record.find(proposal.genotype)
        is_new = candidate is None or candidate.state == "running"
        if is_new:
            candidate = self._evaluate(candidate or self._enter(proposal))
        self._everyone.append(candidate)
        if candidate.state == "done":
            self._front = pareto_front([*self._front, candidate], self._config)
        self._board.candidate(candidate)
        return candidate, is_new

    def _enter(self, proposal: Proposal) -> Candidate:
        digest = hashlib.sha256(proposal.genotype.encode()).digest()
        words = np.frombuffer(digest[:16], "<u4").tolist()
        seeds = np.random.SeedSequence([self._config.search.seed, *words])
        return Candidate(
            id=self._record.next_id(),
            genotype=proposal.genotype,
            hyperparameters=proposal.hyperparameters,
            parents=proposal.parents,
            generation=proposal.generation,
            seed=int(seeds.generate_state(1)[0] >> 1),
            epochs=self._config.training.epochs,
            versions=self._versions,
        )

    def _evaluate(self, candidate: Candidate) -> Candidate:
        candidate.started = _now()
        self._record.save(candidate)
        task = {"id": candidate.id, "genotype": candidate.genotype, "seed": candidate.seed}
        self._communicator.broadcast({**task, "hyperparameters": candidate.hyperparameters})

        def keep(outcome: Outcome, model) -> None:
            finished = replace(candidate, **vars(outcome))
            if finished in pareto_front([*self._front, finished], self._config):
                save_model(model, model_path(self._path, candidate.id))

        outcome = self._evaluator.evaluate(candidate, keep)
        candidate = replace(candidate, **vars(outcome), finished=_now())
        self._record.save(candidate)
        return candidate

    def _tell(self, proposal: Proposal, candidate: Candidate, is_new: bool) -> None:
        values, violation = None, 0.0
        if candidate.state == "done":
            values = [candidate.objectives[o.name] for o in self._config.objectives]
            violation = candidate.violation(self._config.constraints)
        if self._algorithm.tell(proposal, candidate.id, values, violation):
            self._draw_front(self._algorithm.generation)
        if is_new:
            self._record.set_fact("duplicates", self._algorithm.duplicates)

    def _draw_front(self, generation: int) -> None:
        """Shows the front after a generation in TensorBoard, unless an earlier search did."""
        if generation > (self._record.fact("generations") or 0):
            hypervolume = self._hypervolume(is_new=True)
            self._board.generation(generation, self._everyone, self._front, hypervolume)
            self._record.set_fact("generations", generation)

    def _nothing_found(self) -> str:
        failed = [c for c in self._everyone if c.state == "failed"]
        limits = f"{len(self._everyone) - len(failed)} kept no constraint or were infeasible"
        reason = f"; candidate {failed[0].id} failed: {failed[0].reason}" if failed else ""
        return (
            f"no candidate can be recommended: {len(failed)} of {len(self._everyone)} failed, "
            f"{limits}{reason}. All of them are recorded in {self._path}"
        )


def _facts(dataset: Dataset) -> dict[str, object]:
    """What a model card says of the data."""
    parts = {name: len(getattr(dataset, name)) for name in ("train", "validation", "test")}
    shape = list(dataset.image_shape)
    return {"class_names": list(dataset.class_names), "image_shape": shape, "images": parts}


def save_model(model, path: Path) -> None:
    """Writes a Keras model so that a kill leaves the whole file or none."""
    draft = path.with_name(f".{path.name}")
    model.save(draft, include_optimizer=False)
    draft.replace(path)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
