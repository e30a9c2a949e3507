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
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import moocore
import numpy as np
from scipy import stats

from xnas_tf import load_run

ROOT = Path(__file__).resolve().parents[1]
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


def searched(folder: Path, candidates: int, job: tuple[int, bool]) -> np.ndarray:
    """Costs (candidates, 2) of one search, in the order of training; those that failed, the
    reference point's."""
    seed, surrogate = job
    run = folder / f"{seed}-{surrogate}"
    own = [
        f"search.seed={seed}",
        f"search.surrogate={surrogate}",
        f"search.candidates={candidates}",
    ]
    options = [word for text in FIXED + own for word in ("--set", text)]
    command = [sys.executable, "-m", "xnas_tf", "search", "configs/hypermodel.yaml"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    subprocess.run(
        [*command, "--run-dir", str(run), *options],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    print(f"searched with seed {seed}, surrogate {surrogate}", flush=True)
    rows = [
        [c.objectives.get("error", REFERENCE[0]), c.objectives.get("parameters", REFERENCE[1])]
        for c in load_run(run).candidates()
        if c.trained
    ]
    return np.array(rows)


def share(costs: np.ndarray, whole: float) -> float:
    """Of the hypervolume of all candidates."""
    return moocore.hypervolume(costs, ref=REFERENCE) / whole


def compared(found: dict[tuple[int, bool], np.ndarray], count: int, whole: float) -> dict:
    """Shares after so many trainings, and the difference."""
    seeds = sorted({seed for seed, _ in found})
    shares = {
        way: np.array([share(found[seed, way][:count], whole) for seed in seeds])
        for way in (True, False)
    }
    gain = shares[True] - shares[False]
    half = stats.t.ppf(0.975, len(seeds) - 1) * gain.std(ddof=1) / np.sqrt(len(seeds))
    return {
        "with": round(float(shares[True].mean()), 4),
        "without": round(float(shares[False].mean()), 4),
        "gain": round(float(gain.mean()), 4),
        "gain_low": round(float(gain.mean() - half), 4),
        "gain_high": round(float(gain.mean() + half), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    jobs = [(seed, way) for seed in range(options.seeds) for way in (True, False)]
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        work = partial(searched, Path(folder), options.candidates)
        found = dict(zip(jobs, pool.map(work, jobs), strict=True))
    whole = float(moocore.hypervolume(np.concatenate(list(found.values())), ref=REFERENCE))
    figures: dict[str, float] = {"seeds": options.seeds, "candidates": options.candidates}
    for count in (options.candidates // 2, options.candidates):
        row = compared(found, count, whole)
        print(f"after {count} trainings: {row}")
        figures |= {f"{key}_after_{count}": value for key, value in row.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
