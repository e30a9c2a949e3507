"""The real queue, record and search with simulated evaluations, from 8 to 4,096 groups.

python benchmarks/scaling.py [--plot docs/scaling.png]

Utilisation is the share of all groups' time that goes into evaluations. The search itself is the
real one (NSGA-II, SQLite record) on a simulated clock, on which evaluations take lognormal times,
partly the cell's and partly luck, and whatever the search does takes as long as it really took, one
request after the other. Nobody watches: TensorBoard would take 6 ms a candidate more. On the real
clock, over real sockets, 512 groups that sleep go through the same search, and the queue's throughput
is measured: candidates a second of the serving process's CPU time. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from xnas_tf.config import load_config
from xnas_tf.distributed.client import QueueClient
from xnas_tf.distributed.queue import QueueServer
from xnas_tf.run.conductor import Conductor
from xnas_tf.run.directory import open_directory
from xnas_tf.run.observer import Observer
from xnas_tf.spaces.cells import OPERATIONS
from xnas_tf.spaces.variables import Choice
from xnas_tf.strategy import NSGA2

GROUPS = (8, 32, 128, 512, 2048, 4096)
EACH = 20
"""Candidates a group."""
MEDIAN, SIGMA = 60.0, 0.36
"""Seconds of an evaluation, and the standard deviation of their logarithm. The latter was
measured on NAS-Bench-201's cells (benchmarks/groups.py: log_seconds_sigma, 0.31 and 0.36 in two
runs); the former is what a short training on a GPU may take."""
EXPLAINED = 0.7
"""Share of the variance of that logarithm that hyperparameters explain; the rest is luck."""


class WideSpace:
    """Cells of five nodes: as NAS-Bench-201's, but enough of them for 4,096 groups."""

    variables = tuple(Choice(f"edge_{i}", OPERATIONS) for i in range(10))
    size = float(len(OPERATIONS) ** 10)

    @staticmethod
    def genotype(values: dict) -> str:
        return "|".join(values.values())


def length_of(task: dict, luck: float, median: float = MEDIAN) -> float:
    """Seconds of an evaluation: each operation at each edge has its share in it."""
    places = [OPERATIONS.index(operation) for operation in task["hyperparameters"].values()]
    of_the_cell = SHARES[np.arange(len(places)), places].sum()
    z = math.sqrt(EXPLAINED) * of_the_cell + math.sqrt(1 - EXPLAINED) * luck
    return median * math.exp(SIGMA * z)


def _shares() -> np.ndarray:
    """(edges, operations), with mean 0 and variance 1 over all cells."""
    drawn = np.random.default_rng(0).standard_normal((10, len(OPERATIONS)))
    drawn -= drawn.mean(axis=1, keepdims=True)
    return drawn / math.sqrt(drawn.var(axis=1).sum())


SHARES = _shares()


def outcome(task: dict, seconds: float = 50.0) -> dict:
    """A candidate's objectives and figures, as large as real ones."""
    cell = task["hyperparameters"].values()
    convolutions = sum(operation.startswith("nor") for operation in cell)
    luck = np.random.default_rng(task["seed"]).random(2)
    error = 0.5 * math.exp(-convolutions / 4) + 0.05 * luck[0]
    figures = {"loss": 0.1, "accuracy": 0.9, "val_loss": 0.2, "val_accuracy": 0.8}
    return {
        "state": "done",
        "objectives": {"error": error, "introspectability": float(luck[1] - 0.05 * convolutions)},
        "metrics": {f"introspectability/{i}": 0.5 for i in range(6)},
        "seconds": {"build": 0.1, "trace": 2.0, "train": seconds, "score": 1.0, "wait": 0.1},
        "history": [figures] * 12,
    }


def conductor_of(
    folder: str, candidates: int, steady_state: bool, population: int = 64, groups: int = 1
) -> Conductor:
    """The real search on a fresh record."""
    search = f"search={{candidates: {candidates}, population: {population}}}"
    config = load_config(overrides=[search, "objectives=[error, introspectability]"])
    path = Path(folder) / "run"
    record = open_directory(path, config, fresh=False)
    algorithm = NSGA2.from_config(config, WideSpace(), steady_state)
    conductor = Conductor(path, config, record, algorithm, Observer())
    conductor.groups = groups
    return conductor


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
    return _summary(np.array(spans), groups, spent)


def _summary(spans: np.ndarray, groups: int, spent: float) -> Simulation:
    last, end = spans[:, 0].max(), spans[:, 1].max()
    until = np.minimum(spans[:, 1], last) - spans[:, 0]
    return Simulation(
        float((spans[:, 1] - spans[:, 0]).sum() / groups / end),
        float(until.clip(0).sum() / groups / last),
        float(np.log(spans[:, 1] - spans[:, 0]).std()),
        spent / len(spans),
    )


def serve(candidates: int, clients: int) -> dict[str, float]:
    """Lets many clients of another process ask and answer as fast as they can."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, candidates, steady_state=True)
        with QueueServer(conductor) as server:
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=ask, args=(server.address, clients))
            cpu, begin = time.process_time(), time.perf_counter()
            process.start()
            process.join()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
        disk = (Path(folder) / "run" / "run.sqlite").stat().st_size
    return {
        "queue_per_second": candidates / cpu,
        "queue_per_second_wall": candidates / wall,
        "memory_bytes_per_candidate": memory(),
        "disk_bytes_per_candidate": disk / candidates,
    }


def sleepers(groups: int, median: float = 2.0) -> Simulation:
    """A whole search with the real queue, over real sockets and on the real clock: groups that
    sleep instead of evaluating, 30 times as short as on the simulated clock."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, groups * EACH, steady_state=True, groups=groups)
        with QueueServer(conductor) as server:
            context = multiprocessing.get_context("spawn")
            mine, theirs = context.Pipe()
            process = context.Process(
                target=sleep_in_groups, args=(server.address, groups, median, theirs)
            )
            process.start()
            spans = mine.recv()
            process.join()
    return _summary(np.array(spans), groups, math.nan)


def sleep_in_groups(address: dict, groups: int, median: float, pipe) -> None:
    """What the other process does: each thread is a group's leader; sends when they slept."""
    spans: list[tuple[float, float]] = []
    begun = threading.Barrier(groups + 1)

    def lead_and_sleep(group: int) -> None:
        rng = np.random.default_rng([group])
        client, told = QueueClient(address), None
        begun.wait()
        while "over" not in (reply := client.next(group, told)):
            told = None
            if task := reply.get("task"):
                begin = time.perf_counter()
                time.sleep(length_of(task, rng.standard_normal(), median))
                spans.append((begin, time.perf_counter()))
                told = task["id"], outcome(task, spans[-1][1] - begin)
        client.close()

    threads = [threading.Thread(target=lead_and_sleep, args=(n,)) for n in range(groups)]
    for thread in threads:
        thread.start()
    begun.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    pipe.send([(start - begin, end - begin) for start, end in spans])


def memory(warm: int = 4_000, candidates: int = 16_000) -> float:
    """Resident bytes a candidate, from the one after warming up to the last, in a process of
    its own."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=grow, args=(theirs, warm, candidates))
    process.start()
    found = mine.recv()
    process.join()
    return found / (candidates - warm)


def grow(pipe, warm: int, candidates: int) -> None:
    """Runs a search without a queue and sends how much memory it took."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, candidates, steady_state=True)
        while not conductor.is_over:
            with conductor.together():
                tasks = [task for _ in range(50) if (task := conductor.next())]
                for task in tasks:
                    conductor.tell(task["id"], outcome(task))
            if tasks and tasks[0]["id"] <= warm:
                before = resident_bytes()
        pipe.send(resident_bytes() - before)


def ask(address: dict, clients: int) -> None:
    """What the other process does: each thread is a group's leader."""
    threads = [threading.Thread(target=lead, args=(address, n)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lead(address: dict, group: int) -> None:
    """A group whose evaluations take no time."""
    client, told = QueueClient(address), None
    while "over" not in (reply := client.next(group, told)):
        task = reply.get("task")
        told = (task["id"], outcome(task)) if task else None
    client.close()


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
    real = sleepers(512)
    print(f"   512   on the real clock, evaluations of 2 s: {real.fed:.3f}  {real.whole:5.3f}")
    figures |= {"utilisation_steady_512_real_clock": real.fed}
    figures |= {"utilisation_steady_512_real_clock_with_end": real.whole}
    for groups, s, g in zip(arguments.groups, found[True], found[False], strict=True):
        figures[f"utilisation_steady_{groups}"] = s.fed
        figures[f"utilisation_steady_{groups}_with_end"] = s.whole
        figures[f"utilisation_generational_{groups}"] = g.fed
        figures[f"utilisation_generational_{groups}_with_end"] = g.whole
    if arguments.plot:
        draw(arguments.plot, arguments.groups, found[True], found[False])
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
