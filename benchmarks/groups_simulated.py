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
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from simulated_search import MEDIAN, coordinator_of, length_of, outcome

from xnas_tf.candidate import Candidate
from xnas_tf.execution.coordinator import Coordinator

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


@dataclass
class Simulation:
    """A search on a virtual clock.

    Args:
        conductor: The search.
        groups: Number of groups.
        losses_an_hour: Mean number of nodes lost per hour; 0 for none.
        seed: Seed for durations and losses.
    """

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
