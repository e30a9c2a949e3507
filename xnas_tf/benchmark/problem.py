"""A multi-objective problem on a table, and simulated training, which looks up its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from xnas_tf.benchmark.table import Table
from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.cells import EDGES, OPERATIONS, format_genotype, parse_genotype

MAXIMISED = "max:"
PATIENCE = 100
"""A search ends after this many consecutive requests without a new cell of a table with all cells;
if cells are missing, the number is proportionally higher. In 600 trainings, pymoo makes at most 3
such requests in a row, Optuna's NSGA-II fewer than 100, and Optuna's TPE 131 after 150 trainings,
because it then repeats itself."""
NEED_NO_TRAINING = ("param", "flop", "latency")
"""Substrings in the names of objectives and columns whose values are known without training."""
PUBLISHED_REFERENCE = {"error": 20.0, "parameters": 1.6}
"""Reference point of the published comparison on CIFAR-10: error in %, millions of parameters."""

ALL_CONVOLUTIONS = 1_531_546
"""Number of parameters with ``nor_conv_3x3`` on all edges, C=16, N=5, RGB images, 10 classes."""
CELLS_PER_STACK = 5
CHANNELS = (16, 32, 64)
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}


@dataclass(frozen=True)
class Problem:
    """The objectives to optimise on the table with the name ``table``.

    Attributes:
        objectives: Names of the objectives; those to maximise have the prefix ``max:``.
        rows: The row of each cell, by genotype.
        costs: Objective values (rows, objectives), negated if higher is better.
        reference: Reference point of the hypervolume, as costs (objectives,).
        hypervolume: Total hypervolume of all rows.
    """

    table: str
    objectives: tuple[str, ...]
    rows: Mapping[str, int]
    costs: np.ndarray
    reference: np.ndarray
    hypervolume: float

    @property
    def given_reference(self) -> dict[str, float]:
        """The reference point by objective, as in ``search.reference``."""
        return dict(zip(self.objectives, self.reference.tolist(), strict=True))

    @property
    def point(self) -> list[float]:
        """The reference point in the objectives' own units."""
        return (_signs(self.objectives) * self.reference).tolist()

    def known_costs(self, values: Mapping[str, str]) -> dict[int, float]:
        """Return the costs of a cell that are known without training, by objective index."""
        row = self.rows[format_genotype(values)]
        return {
            index: float(self.costs[row, index])
            for index, name in enumerate(self.objectives)
            if any(word in name.lower() for word in NEED_NO_TRAINING)
        }

    def share(self, costs: np.ndarray) -> float:
        """Return the hypervolume of costs (N, objectives) as a share of the total hypervolume."""
        return float(moocore.hypervolume(costs, ref=self.reference)) / self.hypervolume


class SimulatedTraining:
    """Looks up results for a search, and records ``shares`` of the table's hypervolume.

    There is a share after each training run, which is the first request for a cell. Repeated
    requests cost nothing.
    """

    def __init__(self, problem: Problem, trainings: int) -> None:
        self.problem = problem
        self._budget = min(trainings, len(problem.rows))
        self._patience = PATIENCE * len(OPERATIONS) ** len(EDGES) / len(problem.rows)
        self._idle = 0
        self._trained: set[str] = set()
        self._front = np.empty((0, len(problem.objectives)))
        self.shares: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether all training runs are used up, or the search no longer requests new cells."""
        return len(self.shares) >= self._budget or self._idle >= self._patience

    def train(self, genotype: str) -> np.ndarray:
        """Return the costs (objectives,) of a cell.

        A cell that is not in the table gets the table's worst costs without a training run.
        """
        self._idle += 1
        row = self.problem.rows.get(genotype)
        if row is None:
            return self.problem.costs.max(axis=0)
        costs = self.problem.costs[row]
        if genotype not in self._trained and len(self.shares) < self._budget:
            self._idle = 0
            self._trained.add(genotype)
            self.shares.append(self._share_with(costs))
        return costs

    def _share_with(self, costs: np.ndarray) -> float:
        if not (costs < self.problem.reference).all() or (self._front <= costs).all(axis=1).any():
            return self.shares[-1] if self.shares else 0.0
        kept = self._front[~(costs <= self._front).all(axis=1)]
        self._front = np.vstack([kept, costs])
        return self.problem.share(self._front)


def make_problem(
    table: Table,
    objectives: Sequence[str] = tuple(PUBLISHED_REFERENCE),
    column: str | None = None,
    reference: Sequence[float] | None = None,
) -> Problem:
    """Create a problem from a table.

    Args:
        table: The table.
        objectives: Two to five objectives: ``error``, ``parameters`` (in millions), or names of
            columns, which take precedence. Columns are minimised unless they have the prefix
            ``max:``. An accuracy column without it is converted to an error: 100 minus accuracy.
        column: Accuracy column from which to compute ``error``. If None, and there is no
            ``error`` column, the first one with "acc" in its name is used, or else the first one.
        reference: Reference point of the hypervolume, in the objectives' own units. If None, the
            published point is used for ``error`` (from an accuracy in %) and ``parameters`` if at
            least one row is better than that point; otherwise, each objective's worst value is
            used.

    Raises:
        InputError: If an argument is invalid for this table.
    """
    if not 2 <= len(objectives) <= 5 or len(set(objectives)) < len(objectives):
        raise InputError(
            f"--objectives: given {','.join(objectives)}; allowed: two to five different ones"
        )
    signs = _signs(objectives)
    costs = signs * np.column_stack([_values(table, name, column) for name in objectives])
    in_percent = bool(column) or "error" not in table.columns
    point = _reference(objectives, costs, reference, in_percent and not table.is_of_networks)
    volume = float(moocore.hypervolume(costs, ref=point))
    if not volume > 0:
        given, best = _format(signs * point), _format(signs * costs.min(axis=0))
        raise InputError(
            f"--reference: no row of {table.name} is better than {given} in all objectives; the "
            f"best values are {best}"
        )
    return Problem(table.name, tuple(objectives), table.rows, costs, point, volume)


def parse_reference(text: str) -> list[float]:
    """Parse comma-separated numbers, ``X,Y,…``, or raise an ``InputError``."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(
            f"--reference: given {text!r}; allowed: numbers X,Y,…, one for each objective"
        ) from None


def _signs(objectives: Sequence[str]) -> np.ndarray:
    return np.array([-1 if name.startswith(MAXIMISED) else 1 for name in objectives])


def _values(table: Table, objective: str, column: str | None) -> np.ndarray:
    """Return the values of an objective, (rows,)."""
    name = objective.removeprefix(MAXIMISED)
    if objective == "error" and (column or "error" not in table.columns):
        named = (each for each in table.columns if "acc" in each.lower())
        return _error(table, column or next(named, next(iter(table.columns), "accuracy")))
    if name not in table.columns:
        if name != "parameters" or table.is_of_networks:
            allowed = ["error", "parameters", *table.columns]
            raise InputError(f"--objectives: {table.name} has no {suggest(name, allowed)}")
        return np.array([parameters(cell) for cell in table.genotypes])
    if "accuracy" in name.lower() and name == objective:
        return _error(table, name)
    return table.column(name)


def _error(table: Table, column: str) -> np.ndarray:
    """Return the errors in %, (rows,), from an accuracy column."""
    accuracies = table.column(column)
    if accuracies.min() < 0 or accuracies.max() > 100:
        raise InputError(
            f"{table.name}, column {column}: values from {accuracies.min():g} to "
            f"{accuracies.max():g}; allowed: accuracies in %, from which the error is computed"
        )
    return 100 - accuracies


def parameters(genotype: str) -> float:
    """Return the number of trainable parameters, in millions, of a cell's network.

    The network has C=16 and N=5, RGB images and 10 classes. As in NAS-Bench-201, convolutions that
    do not lead to the output also count.
    """
    operations = parse_genotype(genotype).values()
    full = _in_cells([KERNELS["nor_conv_3x3"]] * len(operations))
    own = _in_cells([KERNELS[operation] for operation in operations if operation in KERNELS])
    return (ALL_CONVOLUTIONS - full + own) / 1e6


def _in_cells(kernels: Sequence[int]) -> int:
    """Return the number of parameters in all cells, including those of batch normalisation."""
    return CELLS_PER_STACK * sum(k * c * c + 2 * c for k in kernels for c in CHANNELS)


def _reference(
    objectives: Sequence[str], costs: np.ndarray, given: Sequence[float] | None, is_published: bool
) -> np.ndarray:
    """Return the reference point as costs (objectives,)."""
    if given is not None:
        if len(given) != len(objectives) or not np.isfinite(given).all():
            raise InputError(
                f"--reference: given {_format(given)}; allowed: {len(objectives)} numbers, for "
                f"{','.join(objectives)}"
            )
        return _signs(objectives) * given
    if set(objectives) == set(PUBLISHED_REFERENCE) and is_published:
        published = np.array([PUBLISHED_REFERENCE[name] for name in objectives])
        if (costs < published).all(axis=1).any():
            return published
    return costs.max(axis=0)


def _format(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
