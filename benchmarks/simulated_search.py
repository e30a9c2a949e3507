"""Runs the real search on made-up evaluations, for benchmarks/groups_simulated.py."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from common import WideSpace

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import load_config
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.spaces.cells import OPERATIONS
from xnas_tf.storage.run_directory import open_database
from xnas_tf.strategy import Algorithm
from xnas_tf.utils.phase_times import PhaseTimes

MEDIAN, SIGMA = 60.0, 0.36
"""Median seconds of an evaluation, and the standard deviation of their logarithm. The latter was
measured on NAS-Bench-201 cells (benchmarks/groups.py of fa355ac: log_seconds_sigma, 0.31 and 0.36
in two runs); the former is what a short training on a GPU might take."""
EDGES = 10
"""Number of edges of a cell with five nodes, which allows enough cells for 4,096 groups."""
EXPLAINED = 0.5
"""Share of that logarithm's variance that hyperparameters explain; the rest is random. It was 0.55
for 59 evaluations on a machine with other load."""


def length_of(task: Candidate, luck: float, median: float = MEDIAN) -> float:
    """Return the seconds of an evaluation, which depend on the operation at each edge."""
    places = [OPERATIONS.index(operation) for operation in task.hyperparameters.values()]
    of_the_cell = SHARES[np.arange(len(places)), places].sum()
    z = math.sqrt(EXPLAINED) * of_the_cell + math.sqrt(1 - EXPLAINED) * luck
    return median * math.exp(SIGMA * z)


def _shares() -> np.ndarray:
    """Return the effects (edges, operations), with mean 0 and variance 1 over all cells."""
    drawn = np.random.default_rng(0).standard_normal((EDGES, len(OPERATIONS)))
    drawn -= drawn.mean(axis=1, keepdims=True)
    return drawn / math.sqrt(drawn.var(axis=1).sum())


SHARES = _shares()


def outcome(task: Candidate, seconds: float = 50.0) -> Result:
    """Return a candidate's objectives and metrics, as large as real ones."""
    cell = task.hyperparameters.values()
    convolutions = sum(operation.startswith("nor") for operation in cell)
    luck = np.random.default_rng(task.seed).random(2)
    error = 0.5 * math.exp(-convolutions / 4) + 0.05 * luck[0]
    figures = {"loss": 0.1, "accuracy": 0.9, "val_loss": 0.2, "val_accuracy": 0.8}
    return Result(
        "done",
        objectives={"error": error, "introspectability": float(luck[1] - 0.05 * convolutions)},
        metrics={f"introspectability/{i}": 0.5 for i in range(6)},
        seconds=PhaseTimes(build=0.1, trace=2.0, train=seconds, score=1.0, wait=0.1),
        history=[figures] * 12,
    )


def coordinator_of(
    folder: str, candidates: int, steady_state: bool, population: int = 64
) -> Coordinator:
    """Return the coordinator of a real search with a new record."""
    search = f"search={{candidates: {candidates}, population: {population}}}"
    config = load_config(overrides=[search, "objectives=[error, introspectability]"])
    path = Path(folder) / "run"
    record = open_database(path, config)
    algorithm = Algorithm(config.search, config.directions, WideSpace(EDGES), steady_state)
    return Coordinator(path, config, record, algorithm)
