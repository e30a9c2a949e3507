"""Measures what successive halving saves, on the quickstart with and without ``search.fidelity``.

python benchmarks/fidelity.py [--seeds 10] [--epochs 1,3] [--candidates 16] [--jobs 2]

Runs the search of configs/quickstart.yaml with full trainings and with fidelities, for the same
seeds. Prints the number of epochs that each search trained (a promotion costs the epochs that it
adds) and the hypervolume of its final front, where all models are fully trained. Also prints the
mean difference between searches with the same seed, with its 95% interval (Student's t). The last
line of the output is JSON. With --folder, runs are kept in that folder, and those that are already
in it are not repeated.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import moocore
import numpy as np
from common import gain, search, with_and_without

from xnas_tf import load_run
from xnas_tf.strategy.successive_halving import epochs_of

REFERENCE = 0.25, 0.4
"""Reference point for error and introspectability; candidates that are worse do not count. A good,
fully trained network of the quickstart has an error of 0.02 to 0.2 and an introspectability of 0.45
to 0.75. With a reference point of 0.5 and 0, nearly every front would cover the same share of the
box."""


class Found(NamedTuple):
    """The result of a search."""

    hypervolume: float
    epochs: int
    promotions: int
    seconds: float


def searched(folder: Path, rungs: str, candidates: int, seed: int, is_halving: bool) -> Found:
    """Run a search with a seed, with full trainings or with fidelities."""
    epochs = rungs.split(",")[-1]
    run = folder / (f"{seed}-{candidates}-{rungs}" if is_halving else f"{seed}-{epochs}")
    changes = [f"search.seed={seed}", f"training.epochs={epochs}"]
    if is_halving:
        changes += [f"search.fidelity.epochs=[{rungs}]", f"search.candidates={candidates}"]
    if not (run.is_dir() and load_run(run).fact("ended")):
        search("configs/quickstart.yaml", run, changes)
    found = measured(run)
    print(f"seed {seed}, {'with' if is_halving else 'without'} fidelity: {found}", flush=True)
    return found


def measured(path: Path) -> Found:
    """Return the measurements of a finished run."""
    run = load_run(path)
    front = [[c.objectives["error"], -c.objectives["introspectability"]] for c in run.pareto()]
    trained = [c for c in run.candidates() if c.trained]
    return Found(
        float(moocore.hypervolume(np.array(front), ref=(REFERENCE[0], -REFERENCE[1]))),
        sum(epochs_of(run.config.rungs, c.epochs) for c in trained),
        sum(c.promoted_from > 0 for c in trained),
        sum(c.seconds_total for c in trained),
    )


def compared(halved: Sequence[Found], full: Sequence[Found]) -> dict[str, float]:
    """Return the means, and the interval of the difference in hypervolume."""
    volumes = [[each.hypervolume for each in found] for found in (halved, full)]
    figures = {
        "hypervolume_with": np.mean(volumes[0]),
        "hypervolume_without": np.mean(volumes[1]),
        **gain(*volumes),
        "share_of_epochs": sum(f.epochs for f in halved) / sum(f.epochs for f in full),
        "share_of_epochs_at_most": max(
            h.epochs / f.epochs for h, f in zip(halved, full, strict=True)
        ),
        "share_of_seconds": sum(f.seconds for f in halved) / sum(f.seconds for f in full),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", default="1,3", help="of the rungs; the last is a full training")
    parser.add_argument("--candidates", type=int, default=16, help="of searches with fidelity")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = (options.folder or Path(folder)).absolute()
        work = partial(searched, place, options.epochs, options.candidates)
        halved, full = with_and_without(work, options.seeds, options.jobs)
    print(json.dumps(vars(options) | compared(halved, full), default=str))


if __name__ == "__main__":
    main()
