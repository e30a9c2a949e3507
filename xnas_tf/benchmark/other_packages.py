"""Baselines for comparisons: random search and algorithms from other packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.benchmark.problem import SimulatedTraining
from xnas_tf.errors import InputError
from xnas_tf.spaces.cells import EDGES, OPERATIONS, format_genotype

if TYPE_CHECKING:
    from pymoo.algorithms.base.genetic import GeneticAlgorithm

POPULATION = 64
"""Population size used by XNAS (arXiv 2112.08645)."""


def random(simulation: SimulatedTraining, seed: int) -> None:
    """Sample cells of the table without replacement."""
    genotypes = list(simulation.problem.rows)
    for row in np.random.default_rng(seed).permutation(len(genotypes)):
        if simulation.is_over:
            return
        simulation.train(genotypes[row])


def published_nsga2() -> GeneticAlgorithm:
    """Return pymoo's NSGA-II with the operators of XNAS (arXiv 2112.08645).

    The operators are simulated binary crossover (p 0.9, η 3) and polynomial mutation (η 3) on
    integers. Duplicates within a population are eliminated.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    integers = {"eta": 3.0, "vtype": float, "repair": RoundingRepair()}
    return NSGA2(
        POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, **integers),
        mutation=PM(**integers),
        eliminate_duplicates=True,
    )


def pymoo(simulation: SimulatedTraining, seed: int) -> None:
    """Run the published NSGA-II with pymoo."""
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination

    class Cells(Problem):
        def _evaluate(self, indices: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
            cells = ([OPERATIONS[int(i)] for i in row] for row in indices)
            genotypes = (format_genotype(dict(zip(EDGES, cell, strict=True))) for cell in cells)
            out["F"] = np.array([simulation.train(each) for each in genotypes])

    search = published_nsga2()
    cells = Cells(
        n_var=len(EDGES),
        n_obj=len(simulation.problem.objectives),
        xl=0,
        xu=len(OPERATIONS) - 1,
        vtype=int,
    )
    search.setup(cells, termination=NoTermination(), seed=seed)
    while not simulation.is_over:
        search.next()


def _with_optuna(simulation: SimulatedTraining, seed: int, sampler: str, **options: Any) -> None:
    """Run one of Optuna's samplers, such as its tree-structured Parzen estimator."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = [optuna.study.StudyDirection.MINIMIZE] * len(simulation.problem.objectives)
    chosen = getattr(optuna.samplers, sampler)(seed=seed, **options)
    study = optuna.create_study(directions=directions, sampler=chosen)
    while not simulation.is_over:
        trial = study.ask()
        cell = {edge: trial.suggest_categorical(edge, OPERATIONS) for edge in EDGES}
        study.tell(trial, simulation.train(format_genotype(cell)).tolist())


BASELINES: dict[str, Callable[[SimulatedTraining, int], None]] = {
    "random": random,
    "pymoo": pymoo,
    "optuna_nsga2": partial(_with_optuna, sampler="NSGAIISampler", population_size=POPULATION),
    "optuna_tpe": partial(_with_optuna, sampler="TPESampler"),
}
"""Functions that run a search on a simulated training, given a seed."""


def check_installed(name: str) -> None:
    """Raise an ``InputError`` if a baseline's package is missing."""
    package = name.partition("_")[0]
    if name != "random" and importlib.util.find_spec(package) is None:
        raise InputError(
            f"--algorithm {name} needs the package {package}, which is not installed: "
            f"bin/setup dev installs all baselines, or: pip install {package}"
        )
