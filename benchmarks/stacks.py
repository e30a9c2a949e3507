"""Compares the quickstart on two stacks of packages, by its candidates' values and its speed.

python benchmarks/stacks.py OLD/bin/python NEW/bin/python [--seeds 3]

Each argument is the Python of an environment in which xnas-tf can run, such as those that
bin/test-stack creates. The two searches take turns. Prints the candidates of both side by side and
the largest difference between errors, and then the mean ratio of the speeds over the seeds, with
its 95% interval. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from throughput_turns import search_in_turns

import xnas_tf as xt
from xnas_tf.utils.intervals import mean_interval

VALUES = ("error", "introspectability")


def search_both(pythons: list[str], folder: Path, seed: int) -> list[dict]:
    """Run the quickstart on both stacks in turns of half a second, and return what each found."""
    ways = [[python, "-m", "xnas_tf"] for python in pythons]
    options = ["configs/quickstart.yaml", "--set", f"search.seed={seed}"]
    seconds = search_in_turns(ways, options, folder)
    return [_found(folder / str(place), each) for place, each in enumerate(seconds)]


def _found(folder: Path, seconds: float) -> dict:
    """Return the candidates' values by genotype, the front's ids, and the seconds."""
    run = xt.load_run(folder)
    values = {c.genotype: [c.objectives[name] for name in VALUES] for c in run.candidates()}
    return {"seconds": seconds, "values": values, "front": [c.id for c in run.pareto()]}


def compare(old: dict, new: dict) -> float:
    """Print candidates side by side, and return the largest difference between errors."""
    print(f"{'candidate':<100}{'error':>16}{'introspectability':>22}")
    both = [cell for cell in old["values"] if cell in new["values"]]
    for cell in both:
        pairs = zip(old["values"][cell], new["values"][cell], strict=True)
        print(f"{cell:<100}", *(f"{a:10.4f} {b:8.4f}" for a, b in pairs))
    print(f"{len(both)} of {len(old['values'])} in both; fronts {old['front']} and {new['front']}")
    return max(abs(old["values"][cell][0] - new["values"][cell][0]) for cell in both)


def main() -> None:
    """Run both stacks in turns, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs=2)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    ratios, differences = [], []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            old, new = search_both(given.pythons, Path(folder), seed)
        differences.append(compare(old, new))
        ratios.append(old["seconds"] / new["seconds"])
        print(f"seconds: {old['seconds']:.1f} and {new['seconds']:.1f}", flush=True)
    figures = {"speed": mean_interval(ratios), "error_difference": max(differences)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
