"""What a search is asked for on a table: objectives, and the hypervolume that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from xnas_tf.benchmark.table import Table
from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.cells import format_genotype, parse_genotype

MAXIMISED = "max:"
NEED_NO_TRAINING = ("param", "flop", "latency")
"""What the names of such objectives and columns have in them."""
PUBLISHED_REFERENCE = {"error": 20.0, "parameters": 1.6}
"""Of the published comparison on CIFAR-10: error in %, parameters in millions."""

ALL_CONVOLUTIONS = 1_531_546
"""Parameters with ``nor_conv_3x3`` on all edges, C=16, N=5, RGB images and 10 classes."""
CELLS_PER_STACK = 5
CHANNELS = (16, 32, 64)
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}


@dataclass(frozen=True)
class Problem:
    """A table with objectives.

    Attributes:
        table: The table's name.
        objectives: As they were asked for, ``max:`` in front of what is maximised.
        rows: Place of each cell by genotype.
        costs: Objective values (rows, objectives), turned so that less is better.
        reference: Of the hypervolume, (objectives,), turned likewise.
        hypervolume: Of all rows together.
    """

    table: str
    objectives: tuple[str, ...]
    rows: Mapping[str, int]
    costs: np.ndarray
    reference: np.ndarray
    hypervolume: float

    @property
    def given_reference(self) -> dict[str, float]:
        """The reference point by objective, as ``search.reference`` has it."""
        return dict(zip(self.objectives, self.reference.tolist(), strict=True))

    def known_costs(self, values: Mapping[str, str]) -> dict[int, float]:
        """Those costs of a cell that need no training, by their objective's place."""
        row = self.rows[format_genotype(values)]
        return {
            place: float(self.costs[row, place])
            for place, name in enumerate(self.objectives)
            if any(word in name.lower() for word in NEED_NO_TRAINING)
        }

    def share(self, costs: np.ndarray) -> float:
        """Hypervolume of some rows' costs (N, objectives), as a share of that of all rows."""
        return float(moocore.hypervolume(costs, ref=self.reference)) / self.hypervolume


def make_problem(
    table: Table,
    objectives: Sequence[str] = tuple(PUBLISHED_REFERENCE),
    column: str | None = None,
    reference: Sequence[float] | None = None,
) -> Problem:
    """Chooses objectives of a table.

    Args:
        table: The table.
        objectives: Two to five of: ``error``, ``parameters`` (in millions), or a column, which
            is minimised, or with ``max:`` in front maximised. Columns of accuracies become
            errors: 100 less the accuracy.
        column: Of which ``error`` is made; the first one if None.
        reference: Of the hypervolume, in the objectives' own units. None: the published one
            for ``error`` and ``parameters`` where any row is better; else each objective's
            worst value.

    Raises:
        InputError: If any of them is not possible.
    """
    if not 2 <= len(objectives) <= 5 or len(set(objectives)) < len(objectives):
        raise InputError(
            f"--objectives: given {','.join(objectives)}; allowed: two to five different ones"
        )
    costs = np.column_stack([_costs(table, name, column) for name in objectives])
    corner = _reference(objectives, costs, reference)
    rows = {genotype: row for row, genotype in enumerate(table.genotypes)}
    volume = float(moocore.hypervolume(costs, ref=corner))
    if not volume > 0:
        raise InputError(
            f"--reference: no row of {table.name} is better than {_shown(objectives, corner)} in "
            f"all objectives; the best values are {_shown(objectives, costs.min(axis=0))}"
        )
    return Problem(table.name, tuple(objectives), rows, costs, corner, volume)


def parse_reference(text: str) -> list[float]:
    """Numbers out of ``X,Y,…``.

    Raises:
        InputError: If any of them is none.
    """
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(
            f"--reference: given {text!r}; allowed: numbers X,Y,…, one an objective"
        ) from None


def sign(objective: str) -> int:
    """1 for what is minimised, -1 for what is maximised."""
    return -1 if objective.startswith(MAXIMISED) else 1


def _costs(table: Table, objective: str, column: str | None) -> np.ndarray:
    """Values of one objective (rows,), turned so that less is better."""
    name = objective.removeprefix(MAXIMISED)
    if objective == "error":
        return _error(table, column or next(iter(table.columns), "accuracy"))
    if name not in table.columns:
        if name != "parameters":
            allowed = ["error", "parameters", *table.columns]
            raise InputError(f"--objectives: {table.name} has no {suggest(name, allowed)}")
        return sign(objective) * np.array([parameters(cell) for cell in table.genotypes])
    if "accuracy" in name.lower() and sign(objective) > 0:
        return _error(table, name)
    return sign(objective) * table.column(name)


def _error(table: Table, column: str) -> np.ndarray:
    """100 less the accuracies of a column, in %."""
    accuracies = table.column(column)
    if accuracies.min() < 0 or accuracies.max() > 100:
        raise InputError(
            f"{table.name}, column {column}: values from {accuracies.min():g} to "
            f"{accuracies.max():g}; allowed: accuracies in %, of which the error is made"
        )
    return 100 - accuracies


def parameters(genotype: str) -> float:
    """Trainable parameters in millions of a cell's network with C=16, N=5, RGB images and 10
    classes, as NAS-Bench-201 counts them: convolutions that do not lead to the output too."""
    cell = parse_genotype(genotype)
    kernels = [KERNELS[operation] for operation in cell.values() if operation in KERNELS]
    full = _in_cells([KERNELS["nor_conv_3x3"]] * len(cell))
    return (ALL_CONVOLUTIONS - full + _in_cells(kernels)) / 1e6


def _in_cells(kernels: Sequence[int]) -> int:
    """Parameters of all cells; a convolution is followed by a scale and a shift a channel."""
    return CELLS_PER_STACK * sum(k * c * c + 2 * c for k in kernels for c in CHANNELS)


def _reference(
    objectives: Sequence[str], costs: np.ndarray, given: Sequence[float] | None
) -> np.ndarray:
    """The reference point (objectives,), turned as the costs are."""
    if given is not None:
        if len(given) != len(objectives) or not np.isfinite(given).all():
            raise InputError(
                f"--reference: given {','.join(f'{value:g}' for value in given)}; allowed: "
                f"{len(objectives)} numbers, for {','.join(objectives)}"
            )
        return np.array([sign(o) * value for o, value in zip(objectives, given, strict=True)])
    if set(objectives) == set(PUBLISHED_REFERENCE):
        published = np.array([PUBLISHED_REFERENCE[name] for name in objectives])
        if (costs < published).all(axis=1).any():
            return published
    return costs.max(axis=0)


def _shown(objectives: Sequence[str], costs: np.ndarray) -> str:
    return ",".join(f"{sign(o) * cost:g}" for o, cost in zip(objectives, costs, strict=True))
