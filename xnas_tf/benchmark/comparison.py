"""Many searches of several algorithms on one table, in parallel, and what came out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from xnas_tf.benchmark.other_packages import PEERS
from xnas_tf.benchmark.problem import Problem
from xnas_tf.benchmark.simulation import OURS, algorithm, play
from xnas_tf.errors import InputError, suggest

CHECKPOINTS = (50, 100, 200, 400)
"""Trainings after which shares are listed, besides the last."""
SHARES = (0.95, 0.97, 0.99)
"""Of the table's hypervolume, to which trainings are counted."""


@dataclass(frozen=True)
class Spread:
    """How a figure spreads over seeds; infinite where too few seeds have reached it."""

    lower: float
    median: float
    upper: float


@dataclass(frozen=True)
class Comparison:
    """What searches found on a table.

    Attributes:
        problem: What was searched.
        curves: By algorithm, the share of the table's hypervolume after each training,
            (seeds, trainings).
    """

    problem: Problem
    curves: Mapping[str, np.ndarray]

    @property
    def seeds(self) -> int:
        """Searches of each algorithm."""
        return len(next(iter(self.curves.values())))

    @property
    def trainings(self) -> int:
        """Trainings of each search."""
        return next(iter(self.curves.values())).shape[1]

    @property
    def checkpoints(self) -> list[int]:
        """Trainings after which shares are listed."""
        return [*(c for c in CHECKPOINTS if c < self.trainings), self.trainings]

    def share(self, name: str, trainings: int) -> np.ndarray:
        """Shares that an algorithm's searches had found after so many trainings, (seeds,)."""
        return self.curves[name][:, trainings - 1]

    def trainings_to(self, name: str, share: float) -> np.ndarray:
        """Trainings that an algorithm's searches needed to a share, (seeds,); infinite where
        they did not reach it."""
        reached = self.curves[name] >= share
        return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def spread(figures: np.ndarray) -> Spread:
    """Median and quartiles over seeds, interpolated between seeds as NumPy does; infinite where
    they lie at or next to an infinite one."""
    ordered = np.sort(figures)

    def quantile(q: float) -> float:
        place = q * (len(ordered) - 1)
        below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
        return float(below if below == above else below + (place % 1) * (above - below))

    return Spread(*map(quantile, (0.25, 0.5, 0.75)))


def compare(
    problem: Problem,
    algorithms: Sequence[str] = ("nsga2", "random"),
    seeds: int = 20,
    trainings: int = 600,
    overrides: Sequence[str] = (),
) -> Comparison:
    """Plays searches on a table, as many at a time as there are processors.

    Args:
        problem: The table and its objectives.
        algorithms: Names of our own and of peers.
        seeds: Searches of each, with the seeds from 0.
        trainings: Of each search.
        overrides: Texts ``search.key=value`` for our own algorithms.

    Raises:
        InputError: If there is no such algorithm, its package is missing, or an override or a
            number is wrong.
    """
    for option, number in (("--seeds", seeds), ("--trainings", trainings)):
        if number < 1:
            raise InputError(f"{option}: given {number}; allowed: 1 and more")
    names = list(dict.fromkeys(algorithms))
    for name in names:
        _check(name, problem, overrides)
    games = [(name, seed) for name in names for seed in range(seeds)]
    curves = {}
    with _progress(len(games)) as advance:
        for game, curve in _played(games, problem, trainings, overrides):
            curves[game] = curve
            advance()
    return Comparison(problem, {n: np.array([curves[n, s] for s in range(seeds)]) for n in names})


def _check(name: str, problem: Problem, overrides: Sequence[str]) -> None:
    """Finds what is wrong with an algorithm before any is played."""
    if name in PEERS:
        PEERS[name].check(name)
    elif name in OURS:
        algorithm(name, 0, problem, overrides)
    else:
        raise InputError(f"--algorithm: there is no algorithm {suggest(name, [*OURS, *PEERS])}")


def _played(
    games: Sequence[tuple[str, int]], problem: Problem, trainings: int, overrides: Sequence[str]
) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    """Games and their curves, in the order in which they end."""
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=-1, return_as="generator_unordered")
    return parallel(delayed(_play)(game, problem, trainings, overrides) for game in games)


def _play(
    game: tuple[str, int], problem: Problem, trainings: int, overrides: Sequence[str]
) -> tuple[tuple[str, int], np.ndarray]:
    return game, play(problem, *game, trainings, overrides)


@contextmanager
def _progress(total: int) -> Iterator:
    """A bar on stderr where that is a terminal; gives what moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("searches", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
