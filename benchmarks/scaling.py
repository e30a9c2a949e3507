"""The real queue, record and search with simulated evaluations, from 8 to 4,096 groups.

python benchmarks/scaling.py [--plot docs/scaling.png]

Utilisation is the share of all groups' time that goes into evaluations. The search itself is the
real one (NSGA-II, SQLite record) on a simulated clock, on which evaluations take lognormal times,
partly the cell's and partly luck, and whatever the search does takes as long as it really took, one
request after the other. Nobody watches: TensorBoard would take 6 ms a candidate more. On the real
clock, over real sockets, 512 groups that sleep go through the same search, and the queue's
throughput is measured: candidates a second of the serving process's CPU time. Ends with one line
of JSON.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scaling_clients import serve, sleepers
from scaling_search import EACH, conductor_of, length_of, outcome

from xnas_tf.run.conductor import Conductor

GROUPS = (8, 32, 128, 512, 2048, 4096)


@dataclass
class Simulation:
    """What became of a simulated search.

    Attributes:
        whole: Utilisation from the first hand-out to the end of the last evaluation.
        fed: Utilisation until the last candidate was handed out: without the end, at which
            groups stop one by one because nothing is left.
        sigma: Standard deviation of the logarithm of the evaluations' seconds.
        seconds: Real seconds that the search took for each candidate.
    """

    whole: float
    fed: float
    sigma: float
    seconds: float


def simulate(groups: int, steady_state: bool, seed: int = 0) -> Simulation:
    """Runs a whole search on a simulated clock."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, groups * EACH, steady_state, groups=groups)
        return _simulate(conductor, groups, rng)


def _simulate(conductor: Conductor, groups: int, rng: np.random.Generator) -> Simulation:
    # (time, group, what it tells): what the groups say next, in order of time
    events = [(0.0, group, None) for group in range(groups)]
    idle: list[int] = []
    spans: list[tuple[float, float]] = []
    free = spent = 0.0
    while events:
        # All that was said by the time the search is free is answered in one turn.
        free = max(free, events[0][0])
        turn = []
        while events and events[0][0] <= free:
            turn.append(heapq.heappop(events))
        begin = time.perf_counter()
        with conductor.together():
            for _, _, told in turn:
                if told:
                    conductor.tell(*told)
            idle += [group for _, group, _ in turn]
            tasks = []
            while idle and (task := conductor.next(idle[0])):
                tasks.append((idle.pop(0), task))
        took = time.perf_counter() - begin
        spent += took
        free += took
        for group, task in tasks:
            length = length_of(task, rng.standard_normal())
            spans.append((free, free + length))
            told = task["id"], outcome(task, length)
            heapq.heappush(events, (free + length, group, told))
    return summary(np.array(spans), groups, spent)


def summary(spans: np.ndarray, groups: int, spent: float) -> Simulation:
    """What follows from the begin and end of all evaluations (N, 2)."""
    last, end = spans[:, 0].max(), spans[:, 1].max()
    until = np.minimum(spans[:, 1], last) - spans[:, 0]
    return Simulation(
        float((spans[:, 1] - spans[:, 0]).sum() / groups / end),
        float(until.clip(0).sum() / groups / last),
        float(np.log(spans[:, 1] - spans[:, 0]).std()),
        spent / len(spans),
    )


def draw(path: Path, groups: list[int], steady: list[Simulation], generational: list[Simulation]):
    """Utilisation against the number of groups."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axis = figure.subplots()
    for name, found, colour in (
        ("steady state", steady, "#1f4e9c"),
        ("generational", generational, "#c0392b"),
    ):
        axis.plot(groups, [s.fed for s in found], "o-", color=colour, label=f"{name}, while fed")
        axis.plot(
            groups, [s.whole for s in found], "o:", color=colour, label=f"{name}, with the end"
        )
    axis.set(xlabel="groups", ylabel="utilisation", ylim=(0, 1.02), xscale="log", xticks=groups)
    axis.set_xticks(groups, [f"{number:,}" for number in groups])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Prints a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="draw a PNG")
    parser.add_argument("--groups", type=int, nargs="+", default=list(GROUPS))
    arguments = parser.parse_args()
    found: dict[bool, list[Simulation]] = {True: [], False: []}
    print("groups   steady state: fed, whole   generational: fed, whole   ms a candidate")
    for groups in arguments.groups:
        for steady_state, results in found.items():
            results.append(simulate(groups, steady_state))
        s, g = found[True][-1], found[False][-1]
        print(
            f"{groups:6}   {s.fed:17.3f}  {s.whole:5.3f}   {g.fed:17.3f}  {g.whole:5.3f}"
            f"   {1000 * s.seconds:10.2f}",
            flush=True,
        )
    figures = serve(20_000, 64)
    real = summary(np.array(sleepers(512)), 512, math.nan)
    print(f"   512   on the real clock, evaluations of 2 s: {real.fed:.3f}  {real.whole:5.3f}")
    figures |= {"utilisation_steady_512_real_clock": real.whole}
    figures |= {"utilisation_steady_512_real_clock_while_fed": real.fed}
    for groups, s, g in zip(arguments.groups, found[True], found[False], strict=True):
        figures[f"utilisation_steady_{groups}"] = s.whole
        figures[f"utilisation_steady_{groups}_while_fed"] = s.fed
        figures[f"utilisation_generational_{groups}"] = g.whole
        figures[f"utilisation_generational_{groups}_while_fed"] = g.fed
    if arguments.plot:
        draw(arguments.plot, arguments.groups, found[True], found[False])
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
