"""Measures how introspectability depends on the number of images, and what it correlates with.

python benchmarks/introspectability_bias.py FOLDER [--cells 40] [--seeds 3]

Trains random cells with the quickstart's settings, each with several seeds, and measures every
source on all 1,000 validation images. The networks of the first seed are also measured on 128
images, as in a search, and on three more draws of 128 other images. The estimators are
``unbiased``, the default, and ``plain``, the paper's formula, which also leaves missing classes
out. The models are kept in FOLDER, with a line of JSON for each; models that are already in it are
not trained or measured again. Prints how much the values for different numbers of images differ,
how similarly they rank networks, and, on all images, rank correlations with the error and between
the sources, with 95% bootstrap intervals over cells. The last line of the output is JSON.
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

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.introspectability_models import Bench, Job, jobs  # noqa: E402
from benchmarks.introspectability_report import FEW, SOURCES, print_report  # noqa: E402

if TYPE_CHECKING:
    from xnas_tf.objectives.base import Subject

OPTIONS: dict[str, dict[str, Any]] = {
    "unbiased": {},
    "plain": {"estimator": "plain", "missing_classes": "ignore", "min_images": 1},
}
"""The objective's options by estimator; those of the first estimator are the defaults."""
DRAWS = 4
"""Number of disjoint sets of ``FEW`` images for networks of the first seed. What they have in
common is the bias; the rest is chance."""


def draws(subject: Subject, count: int) -> Iterator[Subject]:
    """Yield the network with ``FEW`` images at a time, starting with those that a search uses."""
    from xnas_tf.objectives.class_resampling import balanced_choice

    left = np.arange(len(subject.images))
    for _ in range(count):
        chosen = left[balanced_choice(subject.predicted[left], FEW)]
        parts = subject.images[chosen], subject.labels[chosen], subject.probabilities[chosen]
        yield replace(subject, images=parts[0], labels=parts[1], probabilities=parts[2])
        left = np.setdiff1d(left, chosen)


def values(subject: Subject, images: int) -> dict[str, float]:
    """Compute each source's value with each estimator, in one pass over a set of images."""
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
    """Measure one network: values on all images and on some draws of ``FEW`` images, and standard
    errors on the first draw."""
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
    """Return a row for each requested network; missing rows are measured and written."""
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
    """Train the networks, measure them, and print the results."""
    parser = argparse.ArgumentParser(description="introspectability by number of images")
    parser.add_argument("folder", type=Path, help="folder for models and measurements")
    parser.add_argument("--cells", type=int, default=40, help="number of random cells")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings per cell")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    bench, wanted = Bench(options.folder), jobs(options.cells, options.seeds)
    for job in wanted:
        bench.train(job)
    figures = print_report(measured(bench, options.folder, wanted))
    print(json.dumps({"cells": options.cells, "seeds": options.seeds, **figures}))


if __name__ == "__main__":
    main()
