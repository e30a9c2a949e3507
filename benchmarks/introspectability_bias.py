"""How much introspectability depends on how many images there were, and what it goes with.

python benchmarks/introspectability_bias.py FOLDER [--cells 40] [--seeds 3]

Trains random cells at the quickstart's settings, each with several seeds, and measures every
source on all 1,000 validation images; those of the first seed also on 128, as a search does, and
on three more draws of 128 others; ``unbiased`` as by default, and ``plain``: the paper's formula,
which also leaves missing classes out. FOLDER keeps the models and a line of JSON for each; what
it has is not trained or measured again. Prints how far the numbers of images are apart, how alike
they rank networks, and rank correlations with the error and between the sources on all images,
with 95% intervals by bootstrap over cells. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script's own folder is all that is on it

from benchmarks.introspectability_models import Bench, Job, jobs  # noqa: E402
from benchmarks.introspectability_report import FEW, SOURCES, print_report  # noqa: E402

if TYPE_CHECKING:
    from xnas_tf.objectives.base import Subject

OPTIONS: dict[str, dict[str, Any]] = {
    "unbiased": {},
    "plain": {"estimator": "plain", "missing_classes": "ignore", "min_images": 1},
}
"""The objective's options by estimator; the first are the defaults."""
DRAWS = 4
"""Sets of ``FEW`` images, no image in two, of networks of the first seed: what they have in common
is the bias, what they have not is chance."""


def draws(subject: Subject, count: int) -> Iterator[Subject]:
    """The network on ``FEW`` images at a time: first those that a search looks at."""
    from xnas_tf.objectives.class_resampling import balanced_choice

    left = np.arange(len(subject.images))
    for _ in range(count):
        chosen = left[balanced_choice(subject.predicted[left], FEW)]
        parts = subject.images[chosen], subject.labels[chosen], subject.probabilities[chosen]
        yield replace(subject, images=parts[0], labels=parts[1], probabilities=parts[2])
        left = np.setdiff1d(left, chosen)


def values(subject: Subject, images: int) -> dict[str, float]:
    """Each source's value by each estimator, on one set of images: of one pass over them."""
    from xnas_tf.objectives.class_distance import ClassPairs
    from xnas_tf.objectives.class_gram import ClassSums, mean_gram
    from xnas_tf.objectives.introspectability import Introspectability

    found = {}
    for means in Introspectability(sources=SOURCES, images=images).class_means(subject):
        for name, options in OPTIONS.items():
            objective = Introspectability(**options)
            counts = means.chosen.pairs.counts
            pairs = ClassPairs(counts, objective.min_images, objective.missing_classes)
            counts = counts * pairs.present
            layers = [
                ClassSums(sums @ sums.T, layer.squares, counts, counts)
                for sums, layer in zip(means.sums, means.layers, strict=True)
            ]
            gram = mean_gram(layers, "none", objective.estimator)
            found[f"{means.source}/{name}"] = float(pairs.mean_distance(gram))
    return found


def measure(subject: Subject, count: int) -> dict[str, Any]:
    """All of one network: values on all images, on some draws of ``FEW``, and standard errors on
    the first draw."""
    from xnas_tf.objectives.introspectability import Introspectability

    found: dict[str, Any] = {"all": values(subject, len(subject.images))}
    if count:
        metrics = Introspectability(sources=SOURCES, images=FEW).score(subject).metrics
        found["draws"] = [values(few, FEW) for few in draws(subject, count)]
        found["standard_error"] = {
            source: metrics[f"introspectability/{source}/standard_error"] for source in SOURCES
        }
    return found


def measured(bench: Bench, folder: Path, wanted: list[Job]) -> list[dict[str, Any]]:
    """A row for each wanted network; those that are not there yet are measured and written."""
    path = folder / "measured.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    rows = {(row["cell"], row["seed"]): row for row in map(json.loads, lines)}
    trained = {(row["cell"], row["seed"]): row for row in bench.trained()}
    for job in wanted:
        key = job.cell, job.seed
        if key not in rows:
            count = DRAWS if job.seed == 0 else 0
            rows[key] = {**trained[key], **measure(bench.subject(job), count)}
            with path.open("a") as file:
                file.write(json.dumps(rows[key]) + "\n")
            print(json.dumps(rows[key]), file=sys.stderr, flush=True)
    return [rows[job.cell, job.seed] for job in wanted]


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description="introspectability by the number of images")
    parser.add_argument("folder", type=Path, help="where models and measurements are kept")
    parser.add_argument("--cells", type=int, default=40, help="random cells")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    bench, wanted = Bench(options.folder), jobs(options.cells, options.seeds)
    for job in wanted:
        bench.train(job)
    figures = print_report(measured(bench, options.folder, wanted))
    print(json.dumps({"cells": options.cells, "seeds": options.seeds, **figures}))


if __name__ == "__main__":
    main()
