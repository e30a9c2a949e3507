"""What a surrogate gains in real searches over mixed variables.

python benchmarks/surrogate.py [--seeds 10] [--candidates 40] [--jobs 2]

Searches the HyperModel of examples/small_convnet.py (choices, whole numbers, a boolean, real
numbers linear and logarithmic, conditional scopes) on scikit-learn's digits for error and
parameters, with and without a surrogate, with the same seeds. Prints shares of the hypervolume
of all candidates that any of the searches trained, after half and after all trainings, and the
mean difference between searches of the same seed with its 95% interval (Student's t). Ends with
one line of JSON.
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
"""Error and parameters beyond which no network is of use here. With a reference that nearly all
networks are better than (0.5 and 40,000), 40 trainings at random were as good as any search."""
FIXED = [
    "objectives=[error, parameters]",
    "constraints={}",
    "training.epochs=3",
    "search.population=8",
    f"search.reference={{error: {REFERENCE[0]}, parameters: {REFERENCE[1]}}}",
]


def searched(folder: Path, candidates: int, seed: int, surrogate: bool) -> np.ndarray:
    """Costs (candidates, 2) of one search, in the order of training; those that failed, the
    reference point's."""
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
    """Shares of the hypervolume of all candidates after so many trainings, and the difference."""
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
