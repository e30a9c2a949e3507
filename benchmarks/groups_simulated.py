"""Runs the real coordinator and record with 8 to 4,096 simulated groups, while nodes are lost.

python benchmarks/groups_simulated.py [--plot docs/images/groups_simulated.png] [--hours 2]

On a virtual clock, each group evaluates candidates that take 60 s (median of a lognormal
distribution). Every hour on average, a node with eight groups is lost. The candidates that these
groups were training are trained again from the start, because they have no checkpoint yet, and the
groups are replaced after RESTART seconds. The search itself is real (NSGA-II, SQLite record). The
driver's turns follow one another and take as much virtual time as they really took, and each
candidate takes DRIVER more seconds for Ray's messages. Utilisation is the share of all groups' time
that is spent on evaluations that counted. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import WideSpace

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import load_config
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.spaces.cells import OPERATIONS
from xnas_tf.storage.run_directory import open_database
from xnas_tf.strategy import Algorithm
from xnas_tf.utils.phase_times import PhaseTimes

GROUPS = (8, 64, 512, 4096)
MOST = 150_000
"""Maximum number of candidates in a simulated search."""
NODE = 8
"""Number of groups on a node, one per GPU."""
RESTART = 120.0
"""Seconds until a lost group is replaced by one that evaluates candidates. By default, Ray notices
a lost node within 65 s; then a new group starts TensorFlow and reads the data."""
DRIVER = 0.02
"""Seconds that the driver needs for Ray's messages about a candidate."""
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


@dataclass
class Simulation:
    """A search on a virtual clock, in which nodes are lost (on average) every so often."""

    coordinator: Coordinator
    groups: int
    losses_an_hour: float
    seed: int = 0
    lost: int = 0
    useful: float = 0.0
    end: float = 0.0
    _events: list[Any] = field(default_factory=list)
    _idle: list[int] = field(default_factory=list)
    _tasks: dict[int, Any] = field(default_factory=dict)
    """The task that each group is evaluating, and how often the group has been replaced."""

    def run(self) -> None:
        """Run the simulation to its end."""
        self._rng = np.random.default_rng(self.seed)
        self._lives = [0] * self.groups
        for group in range(self.groups):
            self._at(0.0, "ready", group)
        self._expect_loss(0.0)
        free = 0.0
        while not self.coordinator.is_over:
            free = max(free, self._events[0][0])
            turn = []
            while self._events and self._events[0][0] <= free:
                turn.append(heapq.heappop(self._events))
            began = time.perf_counter()
            with self.coordinator.transaction():
                given = self._turn(turn)
            free += time.perf_counter() - began + DRIVER * len(given)
            for group, task in given:
                self._begin(group, task, free)

    def _at(self, when: float, what: str, group: int = -1) -> None:
        life = self._lives[group] if group >= 0 else 0
        heapq.heappush(self._events, (when, what, group, life))

    def _expect_loss(self, now: float) -> None:
        if self.losses_an_hour:
            self._at(now + self._rng.exponential(3600 / self.losses_an_hour), "loss")

    def _turn(self, events: list[Any]) -> list[tuple[int, Candidate]]:
        """Run one turn of the driver, which processes events and assigns candidates."""
        for when, what, group, life in events:
            if what == "loss":
                self._lose(when)
            elif life == self._lives[group]:  # ignore groups lost in the meantime
                self._free(when, group)
        given = []
        while self._idle and (task := self.coordinator.ask(self._idle[0])):
            given.append((self._idle.pop(0), task))
        return given

    def _free(self, when: float, group: int) -> None:
        """Record a group's finished candidate, and mark the group as ready for the next one."""
        if group in self._tasks:
            task, length = self._tasks.pop(group)
            self.coordinator.tell(task, outcome(task, length))
            self.useful += length
            self.end = max(self.end, when)
        self._idle.append(group)

    def _lose(self, when: float) -> None:
        """Remove a node with all its groups."""
        self.lost += 1
        first = NODE * int(self._rng.integers(self.groups // NODE))
        for group in range(first, first + NODE):
            self._lives[group] += 1
            if group in self._tasks:
                self.coordinator.requeue(self._tasks.pop(group)[0], "its node was lost")
            if group in self._idle:
                self._idle.remove(group)
            self._at(when + RESTART, "ready", group)
        self._expect_loss(when)

    def _begin(self, group: int, task: Candidate, now: float) -> None:
        length = length_of(task, self._rng.standard_normal())
        self._tasks[group] = task, length
        self._at(now + length, "ready", group)

    @property
    def utilisation(self) -> float:
        """The share of all groups' time that was spent on evaluations that counted."""
        return self.useful / self.groups / self.end


def simulate(groups: int, hours: float, losses_an_hour: float) -> Simulation:
    """Run a search until the given hours have passed or it has MOST candidates."""
    candidates = min(MOST, int(groups * hours * 3600 / MEDIAN))
    with tempfile.TemporaryDirectory() as folder:
        coordinator = coordinator_of(folder, candidates, steady_state=True)
        simulation = Simulation(coordinator, groups, losses_an_hour)
        simulation.run()
        return simulation


def draw(path: Path, groups: list[int], found: dict[str, list[float]]) -> None:
    """Draw the utilisation against the number of groups."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axis = figure.subplots()
    for (name, values), style in zip(found.items(), ("o-", "s--"), strict=True):
        axis.plot(groups, values, style, label=name)
    axis.set(xlabel="groups", ylabel="utilisation", ylim=(0, 1.02), xscale="log")
    axis.set_xticks(groups, [f"{number:,}" for number in groups])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="PNG file to draw")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--groups", type=int, nargs="+", default=list(GROUPS))
    arguments = parser.parse_args()
    kinds = {"no node lost": 0.0, "a node of eight groups lost every hour": 1.0}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    figures = {}
    print("groups   nodes lost   hours   utilisation")
    for groups in arguments.groups:
        for name, losses in kinds.items():
            s = simulate(groups, arguments.hours, losses)
            found[name].append(s.utilisation)
            print(
                f"{groups:6}   {s.lost:10}   {s.end / 3600:5.2f}   {s.utilisation:.3f}", flush=True
            )
            figures[f"utilisation_{groups}{'_losing_nodes' if losses else ''}"] = s.utilisation
    if arguments.plot:
        draw(arguments.plot, arguments.groups, found)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
