"""Promotions to higher rungs: the next candidate, and the checkpoint from which it resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.storage.run_directory import checkpoint_path
from xnas_tf.strategy.successive_halving import SuccessiveHalving


class Promotions:
    """The promotions of candidates from rung to rung (``search.fidelity``).

    The state at the end of a rung is the candidate's checkpoint, which is needed until the
    promotion that resumes from it has finished. ``open`` counts the promotions that have not
    finished.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        self._config = config
        self._halving = SuccessiveHalving(config.rungs, config.search.population)
        self._done: dict[int, Candidate] = {}
        self.open = 0

    @property
    def is_any(self) -> bool:
        """Whether any candidate can be promoted."""
        return self._halving.next(is_idle=True) is not None

    def next(self, number: int, is_idle: bool) -> Candidate | None:
        """Return the next promotion, as a new candidate with this id; None if there is none.

        ``is_idle`` says whether there is nothing else to train.
        """
        promotion = self._halving.next(is_idle)
        if promotion is None:
            return None
        lower, epochs = promotion
        below = self._done[lower]
        return Candidate(
            id=number,
            genotype=below.genotype,
            hyperparameters=below.hyperparameters,
            parents=below.parents,
            generation=below.generation,
            seed=below.seed,
            epochs=epochs,
            promoted_from=below.id,
        )

    def begin(self, candidate: Candidate) -> None:
        """Record that a promotion has started."""
        below = self._done.pop(candidate.promoted_from)
        self._halving.promoted(below.id, below.epochs)
        self.open += 1

    def update(self, candidate: Candidate) -> None:
        """Update the rungs with a candidate that has finished."""
        self.open -= candidate.promoted_from > 0
        if candidate.state == "done" and candidate.epochs < self._config.rungs[-1]:
            costs = [o.sign * candidate.objectives[o.name] for o in self._config.objectives]
            violation = candidate.violation(self._config.constraints)
            self._halving.update(candidate.id, candidate.epochs, costs, violation)
            self._done[candidate.id] = replace(candidate, history=[], metrics={}, versions={})

    def useless(self, candidate: Candidate) -> list[int]:
        """Return the ids of the checkpoints that a finished candidate makes superfluous."""
        own = [] if candidate.id in self._done else [candidate.id]
        return [*own, candidate.promoted_from]

    def state(self, candidate: Candidate) -> bytes:
        """Return the checkpoint from which a candidate's training resumes; empty if there is none.

        The candidate's own checkpoint takes precedence over the one from the end of the rung below.
        """
        for number in (candidate.id, candidate.promoted_from):
            path = checkpoint_path(self._path, number)
            if number and path.is_file():
                return path.read_bytes()
        return b""
