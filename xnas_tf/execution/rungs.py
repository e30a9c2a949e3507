"""Trainings that go on with earlier ones: who is next, and the states that they go on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.storage.run import checkpoint_path
from xnas_tf.strategy.successive_halving import SuccessiveHalving


class Promotions:
    """Keeps account of the candidates of all rungs (``search.fidelity``).

    The state at the end of a rung is that candidate's checkpoint. It is of use until the
    promotion that goes on from it has ended.

    Args:
        path: The run directory.
        config: The run's configuration.

    Attributes:
        open: Promotions that have not ended.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        self._config = config
        self._halving = SuccessiveHalving(config.rungs, config.search.population)
        self._done: dict[int, Candidate] = {}
        self.open = 0

    @property
    def is_any(self) -> bool:
        """Whether somebody is to be promoted."""
        return self._halving.next(is_idle=True) is not None

    def next(self, number: int, is_idle: bool) -> Candidate | None:
        """The training that is to be gone on with, as a new candidate; None while there is none.

        Args:
            number: The new candidate's id.
            is_idle: Whether there is nothing else to train.
        """
        chosen = self._halving.next(is_idle)
        if chosen is None:
            return None
        below = self._done[chosen[0]]
        return Candidate(
            id=number,
            genotype=below.genotype,
            hyperparameters=below.hyperparameters,
            parents=below.parents,
            generation=below.generation,
            seed=below.seed,
            epochs=chosen[1],
            promoted_from=below.id,
        )

    def begin(self, candidate: Candidate) -> None:
        """Hears of a promotion that is open from now on."""
        below = self._done.pop(candidate.promoted_from)
        self._halving.promoted(below.id, below.epochs)
        self.open += 1

    def heed(self, candidate: Candidate) -> None:
        """Hears of any candidate that has ended."""
        self.open -= candidate.promoted_from > 0
        if candidate.state == "done" and candidate.epochs < self._config.rungs[-1]:
            costs = [o.sign * candidate.objectives[o.name] for o in self._config.objectives]
            violation = candidate.violation(self._config.constraints)
            self._halving.heed(candidate.id, candidate.epochs, costs, violation)
            self._done[candidate.id] = replace(candidate, history=[], metrics={}, versions={})

    def useless(self, candidate: Candidate) -> list[int]:
        """Whose checkpoints are of no use any more, now that a candidate has ended."""
        own = [] if candidate.id in self._done else [candidate.id]
        return [*own, candidate.promoted_from]

    def state(self, candidate: Candidate) -> bytes:
        """What a candidate's training can go on from: its own checkpoint, or else the state at
        the end of the rung below; empty if there is none."""
        for number in (candidate.id, candidate.promoted_from):
            path = checkpoint_path(self._path, number)
            if number and path.is_file():
                return path.read_bytes()
        return b""
