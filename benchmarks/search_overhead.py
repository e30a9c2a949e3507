"""Measures the time and memory to ask for a candidate when many are recorded.

python benchmarks/search_overhead.py [--recorded 16000] [--million]

Every search runs in its own process on the same made-up problem with two objectives and twenty
edges with five unordered operations each. Our searches, Platypus and pymoo evaluate all candidates
that are to be recorded; Optuna is given them, because its TPE would take hours. Then the next
candidates are requested one by one, in steady state if the search has such a mode. With
``--million``, NSGA-II also evaluates a million candidates. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import psutil
from common import WideSpace, last_line

from xnas_tf.benchmark.other_packages import published_nsga2
from xnas_tf.spaces.cells import OPERATIONS
from xnas_tf.strategy import Algorithm
from xnas_tf.strategy.options import SearchOptions

EDGES, OBJECTIVES, POPULATION, ASKED = 20, 2, 64, 200
WEIGHTS = np.random.default_rng(0).standard_normal((OBJECTIVES, EDGES, len(OPERATIONS)))
CHECKPOINTS = 4
"""Number of equal parts of the recorded candidates; memory is measured after each part."""


def evaluate(places: list[int]) -> list[float]:
    """Return the sum of the costs of each edge's operation, with some noise."""
    noise = np.random.default_rng([int(place) for place in places]).standard_normal(OBJECTIVES)
    return (WEIGHTS[:, np.arange(EDGES), places].sum(axis=1) + 0.1 * noise).tolist()


class Clock:
    """Records the seconds of each request, and the process's memory in MB."""

    def __init__(self, recorded: int) -> None:
        self.recorded, self.asks, self.megabytes = recorded, [], []

    def ask(self, ask: Callable):
        begun = time.perf_counter()
        found = ask()
        self.asks.append(time.perf_counter() - begun)
        return found

    def told(self, count: int) -> None:
        if count % (self.recorded // CHECKPOINTS) == 0:
            self.megabytes.append(psutil.Process().memory_info().rss / 1e6)

    def figures(self) -> dict[str, float]:
        last = 1e3 * np.array(self.asks[-ASKED:])
        half, whole = self.megabytes[len(self.megabytes) // 2 - 1], self.megabytes[-1]
        return {
            "ask_ms": round(float(last.mean()), 3),
            "ask_ms_median": round(float(np.median(last)), 3),
            "ask_ms_worst": round(float(last.max()), 1),
            "megabytes_second_half": round(whole - half, 1),
            "megabytes_first_half": round(half - self.megabytes[0], 1),
        }


def ours(clock: Clock, surrogate: bool = False, mode: str = "steady_state") -> None:
    """Measure our own search, as a run uses it."""
    config = SearchOptions(population=POPULATION, surrogate=surrogate)
    directions = dict.fromkeys(("f0", "f1"), "minimize")
    search = Algorithm(config, directions, WideSpace(EDGES), mode == "steady_state")
    for number in range(1, clock.recorded + ASKED + 1):
        proposal = clock.ask(search.ask)
        places = [OPERATIONS.index(value) for value in proposal.hyperparameters.values()]
        search.tell(proposal, number, evaluate(places))
        clock.told(number)


def platypus(clock: Clock) -> None:
    """Measure Platypus' NSGA-II on its ``Integer`` type; a generation's time is divided equally."""
    import platypus as library

    problem = library.Problem(EDGES, OBJECTIVES)
    problem.types[:] = [library.Integer(0, len(OPERATIONS) - 1) for _ in range(EDGES)]
    spent, count = [0.0], [0]

    def timed(places: list[int]) -> list[float]:
        begun = time.perf_counter()
        count[0] += 1
        clock.told(count[0])
        costs = evaluate(places)
        spent[0] += time.perf_counter() - begun
        return costs

    problem.function = timed
    search = library.NSGAII(problem, POPULATION)
    while count[0] < clock.recorded + ASKED:
        begun, before, spent[0] = time.perf_counter(), count[0], 0.0
        search.step()
        asked = count[0] - before
        clock.asks += [(time.perf_counter() - begun - spent[0]) / asked] * asked


def pymoo(clock: Clock) -> None:
    """Measure pymoo's NSGA-II as XNAS used it; a generation's time is divided equally."""
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination

    problem = Problem(n_var=EDGES, n_obj=OBJECTIVES, xl=0, xu=len(OPERATIONS) - 1, vtype=int)
    search = published_nsga2()
    search.setup(problem, termination=NoTermination(), seed=0, verbose=False)
    count = 0
    while count < clock.recorded + ASKED:
        begun = time.perf_counter()
        infills = search.ask()
        asking = time.perf_counter() - begun
        infills.set("F", np.array([evaluate(row.astype(int)) for row in infills.get("X")]))
        begun = time.perf_counter()
        search.tell(infills=infills)
        asking += time.perf_counter() - begun
        clock.asks += [asking / len(infills)] * len(infills)
        for _ in infills:
            count += 1
            clock.told(count)


def optuna(clock: Clock, sampler: str) -> None:
    """Measure Optuna's ask and tell, after giving it the recorded candidates."""
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    made = {
        "nsga2": lambda: library.samplers.NSGAIISampler(population_size=POPULATION, seed=0),
        "tpe": lambda: library.samplers.TPESampler(seed=0),
    }[sampler]()
    study = library.create_study(directions=["minimize"] * OBJECTIVES, sampler=made)
    names = [f"edge_{i}" for i in range(EDGES)]
    choices = library.distributions.CategoricalDistribution(range(len(OPERATIONS)))
    rng = np.random.default_rng(0)
    for number in range(1, clock.recorded + 1):
        places = rng.integers(len(OPERATIONS), size=EDGES).tolist()
        attributes = {"NSGAIISampler:generation": (number - 1) // POPULATION}
        study.add_trial(
            library.trial.create_trial(
                params=dict(zip(names, places, strict=True)),
                distributions=dict.fromkeys(names, choices),
                values=evaluate(places),
                system_attrs=attributes if sampler == "nsga2" else {},
            )
        )
        clock.told(number)
    for _ in range(ASKED if sampler == "nsga2" else ASKED // 20):
        trial = clock.ask(lambda: study.ask(dict.fromkeys(names, choices)))
        study.tell(trial, evaluate([trial.params[name] for name in names]))


SEARCHES: dict[str, Callable[[Clock], None]] = {
    "nsga2": ours,
    "nsga2_generational": lambda clock: ours(clock, mode="generational"),
    "surrogate": lambda clock: ours(clock, surrogate=True),
    "platypus": platypus,
    "pymoo": pymoo,
    "optuna_nsga2": lambda clock: optuna(clock, "nsga2"),
    "optuna_tpe": lambda clock: optuna(clock, "tpe"),
}


def measured(name: str, recorded: int) -> dict[str, float]:
    """Run a search in its own process."""
    begun = time.perf_counter()
    found = json.loads(last_line(__file__, "--recorded", str(recorded), "--only", name))
    return {**found, "seconds": round(time.perf_counter() - begun, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recorded", type=int, default=16_000)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--only", choices=SEARCHES)
    options = parser.parse_args()
    if options.only:
        clock = Clock(options.recorded)
        SEARCHES[options.only](clock)
        print(json.dumps(clock.figures()))
        return
    found = {}
    for name in SEARCHES:
        found[name] = measured(name, options.recorded)
        print(f"{name}: {found[name]}", flush=True)
    figures = {f"{name}_{key}": v for name, row in found.items() for key, v in row.items()}
    figures["surrogate_over_optuna_tpe"] = round(
        found["surrogate"]["ask_ms"] / found["optuna_tpe"]["ask_ms"], 4
    )
    if options.million:
        row = measured("nsga2_generational", 1_000_000)
        figures |= {f"million_{key}": value for key, value in row.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
