"""Searches of other packages, and at random, to compare with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xnas_tf.benchmark.simulated_training import SimulatedTraining
from xnas_tf.errors import InputError
from xnas_tf.spaces.cells import EDGES, OPERATIONS, format_genotype

POPULATION = 64
"""As in XNAS (arXiv 2112.08645)."""


@dataclass(frozen=True)
class OtherPackage:
    """A search to compare with.

    Attributes:
        search: Plays a game with a seed.
        package: What it needs installed; empty for nothing.
    """

    search: Callable[[SimulatedTraining, int], None]
    package: str = ""

    def check(self, name: str) -> None:
        """Raises:
        InputError: If its package is not installed.
        """
        if self.package and importlib.util.find_spec(self.package) is None:
            raise InputError(
                f"--algorithm {name} needs the package {self.package}, which is not installed: "
                f"bin/setup dev installs all peers, or: pip install {self.package}"
            )


def random(game: SimulatedTraining, seed: int) -> None:
    """Draws cells of the table without putting them back."""
    genotypes = list(game.problem.rows)
    for row in np.random.default_rng(seed).permutation(len(genotypes)):
        if game.is_over:
            return
        game.train(genotypes[row])


def pymoo(game: SimulatedTraining, seed: int) -> None:
    """NSGA-II as XNAS had it (arXiv 2112.08645): simulated binary crossover (p 0.9, η 3) and
    polynomial mutation (η 3) on whole numbers, duplicates in a population eliminated."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    class Cells(Problem):
        def _evaluate(self, places: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"] = np.array([game.train(_genotype(row)) for row in places])

    whole = {"eta": 3.0, "vtype": float, "repair": RoundingRepair()}
    search = NSGA2(
        POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, **whole),
        mutation=PM(**whole),
        eliminate_duplicates=True,
    )
    cells = Cells(
        n_var=len(EDGES),
        n_obj=len(game.problem.objectives),
        xl=0,
        xu=len(OPERATIONS) - 1,
        vtype=int,
    )
    search.setup(cells, termination=NoTermination(), seed=seed)
    while not game.is_over:
        search.next()


def optuna_nsga2(game: SimulatedTraining, seed: int) -> None:
    """Optuna's NSGA-II, with XNAS's size of population."""
    from optuna.samplers import NSGAIISampler

    _optuna(game, NSGAIISampler(population_size=POPULATION, seed=seed))


def optuna_tpe(game: SimulatedTraining, seed: int) -> None:
    """Optuna's tree-structured Parzen estimator for several objectives."""
    from optuna.samplers import TPESampler

    _optuna(game, TPESampler(seed=seed))


def _optuna(game: SimulatedTraining, sampler: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = ["minimize"] * len(game.problem.objectives)
    study = optuna.create_study(directions=directions, sampler=sampler)
    while not game.is_over:
        trial = study.ask()
        cell = {edge: trial.suggest_categorical(edge, OPERATIONS) for edge in EDGES}
        study.tell(trial, game.train(format_genotype(cell)).tolist())


def _genotype(places: Sequence[int]) -> str:
    """The genotype string of places in ``OPERATIONS``, an edge each."""
    operations = (OPERATIONS[int(place)] for place in places)
    return format_genotype(dict(zip(EDGES, operations, strict=True)))


PEERS = {
    "random": OtherPackage(random),
    "pymoo": OtherPackage(pymoo, "pymoo"),
    "optuna_nsga2": OtherPackage(optuna_nsga2, "optuna"),
    "optuna_tpe": OtherPackage(optuna_tpe, "optuna"),
}
