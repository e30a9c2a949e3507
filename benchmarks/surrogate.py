"""Measures what a surrogate gains in real searches over mixed variables.

python benchmarks/surrogate.py [--seeds 10] [--candidates 40] [--jobs 2]

Searches the HyperModel of examples/small_convnet.py (choices, integers, a boolean, real numbers on
linear and logarithmic scales, conditional scopes) on scikit-learn's digits. The objectives are
error and parameters. Searches with and without a surrogate have the same seeds. Prints, after half
and after all trainings, which share of the hypervolume of all candidates from all searches each
search has reached, and the mean difference between searches with the same seed, with its 95%
interval (Student's t). The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path

import moocore
import numpy as np
from common import gain, search, with_and_without

from xnas_tf import load_run

REFERENCE = 0.15, 4_000.0
"""Reference point for error and parameters; networks that are worse are of no use here. With a
reference point that nearly all networks are better than (0.5 and 40,000), 40 random trainings were
as good as any search."""
FIXED = [
    "objectives=[error, parameters]",
    "constraints={}",
    "training.epochs=3",
    "search.population=8",
    f"search.reference={{error: {REFERENCE[0]}, parameters: {REFERENCE[1]}}}",
]


def searched(folder: Path, candidates: int, seed: int, surrogate: bool) -> np.ndarray:
    """Return the costs (candidates, 2) of one search in the order of training; candidates that
    failed have the costs of the reference point."""
    run = folder / f"{seed}-{surrogate}"
    own = [
        f"search.seed={seed}",
        f"search.surrogate={surrogate}",
        f"search.candidates={candidates}",
    ]
    search("configs/hypermodel.yaml", run, FIXED + own)
    print(f"searched with seed {seed}, surrogate {surrogate}", flush=True)
    rows = [
        [c.objectives.get("error", REFERENCE[0]), c.objectives.get("parameters", REFERENCE[1])]
        for c in load_run(run).candidates()
        if c.trained
    ]
    return np.array(rows)


def compared(
    with_it: list[np.ndarray], without: list[np.ndarray], count: int, whole: float
) -> dict[str, float]:
    """Return each search's share of the hypervolume of all candidates, and the difference."""
    shares = [
        [moocore.hypervolume(costs[:count], ref=REFERENCE) / whole for costs in found]
        for found in (with_it, without)
    ]
    figures = {"with": np.mean(shares[0]), "without": np.mean(shares[1]), **gain(*shares)}
    return {name: round(float(value), 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = partial(searched, Path(folder), options.candidates)
        found = with_and_without(work, options.seeds, options.jobs)
    whole = float(moocore.hypervolume(np.concatenate(sum(found, [])), ref=REFERENCE))
    figures: dict[str, float] = {"seeds": options.seeds, "candidates": options.candidates}
    for count in (options.candidates // 2, options.candidates):
        row = compared(*found, count, whole)
        print(f"after {count} trainings: {row}")
        figures |= {f"{key}_after_{count}": value for key, value in row.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
