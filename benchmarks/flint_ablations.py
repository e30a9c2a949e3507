"""Measures what FLINT's losses and number of attributes contribute, and LIME's fidelity beside it.

    python benchmarks/flint_ablations.py [--seeds 5] [--images 500] [--results FILE.jsonl]

For each seed, the paper's predictor for MNIST is trained alone on mnist5k, as in flint.py. It then
gets a post-hoc interpreter with the published settings, one with each loss left out, and others
with fewer and more attributes. All interpreters of a seed explain the same predictor, so the
differences from the published settings are paired by seed; intervals are 95% (Student's t). LIME's
fidelity is measured on the first of the test images. With --results, seeds that are already in
the file are not repeated. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from common import json_lines, print_table  # noqa: E402
from flint import trained_alone  # noqa: E402
from lime_fidelity import lime_fidelity  # noqa: E402

from xnas_tf.data import Dataset, load_dataset  # noqa: E402
from xnas_tf.interpretation.flint import train_interpreter  # noqa: E402
from xnas_tf.training.predictor import Predictor  # noqa: E402
from xnas_tf.utils.intervals import mean_interval  # noqa: E402

PUBLISHED = "published settings"
VARIANTS: dict[str, dict[str, Any]] = {
    PUBLISHED: {},
    "without output fidelity": {"output_fidelity": ()},
    "without input fidelity": {"input_fidelity": ()},
    "without sparsity": {"sparsity": ()},
    "without entropy": {"entropy": ()},
    "without sparsity and entropy": {"sparsity": (), "entropy": ()},
    "5 attributes": {"attributes": 5},
    "10 attributes": {"attributes": 10},
    "50 attributes": {"attributes": 50},
}
METRICS = {
    "fidelity": "fidelity, %",
    "accuracy": "accuracy, %",
    "conciseness": "CNS(5)",
    "unexplained": "images without a relevant attribute, %",
    "unused": "never relevant",
}
Measured = dict[str, dict[str, float]]


def measured(data: Dataset, seed: int, images: int) -> Measured:
    """Return the metrics of each variant, and those of the predictor and of LIME."""
    model = trained_alone(data, seed)
    predict = Predictor(model)
    right = predict(data.test.images).argmax(axis=1) == data.test.labels
    found: Measured = {"predictor": {"accuracy": 100 * float(right.mean())}}
    for name, changes in VARIANTS.items():
        found[name] = interpreter_metrics(model, data, changes, seed)
        print(f"seed {seed}, {name}: {found[name]}", file=sys.stderr)
    rng = np.random.default_rng(seed)
    share = lime_fidelity(predict, np.asarray(data.test.images[:images]), rng)
    print(f"seed {seed}, LIME: {share}", file=sys.stderr)
    return found | {"LIME": {"fidelity": 100 * share}}


def interpreter_metrics(
    model: keras.Model, data: Dataset, changes: Mapping[str, Any], seed: int
) -> dict[str, float]:
    """Train a post-hoc interpreter, and return its metrics on the test split."""
    found = train_interpreter(
        model, data, settings=changes, seed=seed, log=lambda _: None
    ).answers.as_dict()
    return {
        "fidelity": 100 * found["fidelity"]["top1"],
        "accuracy": 100 * found["accuracy"]["g"],
        "conciseness": found["conciseness"]["5"],
        "unexplained": 100 * found["unexplained"],
        "unused": found["unused_attributes"],
    }


def print_summary(seeds: list[Measured]) -> dict[str, Any]:
    """Print means over the seeds with differences from the published settings; return them."""
    lines = []
    report: dict[str, Any] = {"seeds": len(seeds)}
    for name in seeds[0]:
        means = {m: float(np.mean([s[name][m] for s in seeds])) for m in seeds[0][name]}
        gain = difference(seeds, name) if name in VARIANTS and name != PUBLISHED else None
        shown = f"{gain[1]:+.1f} [{gain[0]:+.1f}, {gain[2]:+.1f}]" if gain else ""
        cells = [f"{means[m]:.2f}" if m in means else "" for m in METRICS]
        lines.append([name, cells[0], shown, *cells[1:]])
        report[name] = {**means, "difference": gain}
    first, *others = METRICS.values()
    print_table(["", first, "difference", *others], lines)
    return report


def difference(seeds: list[Measured], name: str) -> list[float] | None:
    """Return the mean difference in fidelity from the published settings, and its interval."""
    return mean_interval([s[name]["fidelity"] - s[PUBLISHED]["fidelity"] for s in seeds])


def main() -> None:
    """Measure all seeds that the results file does not have, and print the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=500, help="images explained by LIME")
    parser.add_argument("--results", type=Path, help="file that keeps the results of each seed")
    given = parser.parse_args()
    records = json_lines(given.results) if given.results else []
    known: dict[int, Measured] = {record["seed"]: record["measured"] for record in records}
    data = load_dataset("mnist5k")
    for seed in sorted(set(range(given.seeds)) - set(known)):
        known[seed] = measured(data, seed, given.images)
        if given.results:
            with given.results.open("a") as file:
                file.write(json.dumps({"seed": seed, "measured": known[seed]}) + "\n")
    print(json.dumps(print_summary([known[seed] for seed in range(given.seeds)])))


if __name__ == "__main__":
    main()
