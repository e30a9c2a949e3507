"""Compares algorithms by running many searches on one table in parallel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import joblib
import numpy as np

from xnas_tf.benchmark.other_packages import BASELINES, check_installed
from xnas_tf.benchmark.problem import Problem
from xnas_tf.benchmark.simulation import OWN_ALGORITHMS, create_algorithm, run_search
from xnas_tf.errors import InputError, suggest
from xnas_tf.utils.progress import steps_bar

SHARES = (0.95, 0.97, 0.99)
"""Shares of the table's hypervolume for which the required trainings are counted."""


@dataclass(frozen=True)
class Comparison:
    """The shares of a table's hypervolume after each training run, by algorithm.

    The shares of an algorithm are (seeds, trainings).
    """

    problem: Problem
    curves: Mapping[str, np.ndarray]

    @property
    def seeds(self) -> int:
        """Number of searches per algorithm."""
        return len(next(iter(self.curves.values())))

    @property
    def trainings(self) -> int:
        """Number of candidates that each search trains."""
        return next(iter(self.curves.values())).shape[1]


def compare(
    problem: Problem,
    algorithms: Sequence[str],
    seeds: int,
    trainings: int,
    overrides: Sequence[str],
) -> Comparison:
    """Run searches on a table in parallel, one per processor.

    Args:
        problem: The table and its objectives.
        algorithms: Names of xnas-tf's algorithms or of baselines.
        seeds: Number of searches per algorithm, with seeds starting at 0.
        trainings: Number of candidates that each search trains.
        overrides: ``search.key=value``, for xnas-tf's algorithms.

    Raises:
        InputError: If an algorithm is unknown, its package is missing, or an override or a number
            is invalid.
    """
    for option, number in (("--seeds", seeds), ("--trainings", trainings)):
        if number < 1:
            raise InputError(f"{option}: given {number}; allowed: 1 and more")
    names = list(dict.fromkeys(algorithms))
    for name in names:
        if name in BASELINES:
            check_installed(name)
        elif name in OWN_ALGORITHMS:
            create_algorithm(name, 0, problem, overrides)
        else:
            allowed = [*OWN_ALGORITHMS, *BASELINES]
            raise InputError(f"--algorithm: there is no algorithm {suggest(name, allowed)}")
    search = joblib.delayed(run_search)
    searches = [
        search(problem, name, seed, trainings, overrides) for name in names for seed in range(seeds)
    ]
    curves = []
    with steps_bar("searches") as show_step:
        for curve in joblib.Parallel(n_jobs=-1, return_as="generator")(searches):
            curves.append(curve)
            show_step(len(curves), len(searches))
    by_name = np.reshape(curves, (len(names), seeds, trainings))
    return Comparison(problem, dict(zip(names, by_name, strict=True)))
