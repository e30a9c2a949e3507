"""Are planted bugs found in networks that have them, and not in networks that don't?

python benchmarks/ground_truth.py [CELLS] [--seed N]

Random cells are trained on the data set ``shapes`` without a bug and with each bug. The objectives
of ground truth are measured on validation images. For networks without a bug, every class in turn
counts as the bug's class, with each watermark: what is found there is a false alarm. Tables go to
standard output as Markdown; a line of JSON for each measured network goes to standard error.
docs/benchmarks/ground-truth.md describes the results.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script's own folder is all that is on it

from benchmarks import debuggability_models  # noqa: E402
from benchmarks.common import print_table  # noqa: E402
from benchmarks.debuggability import draw_cells  # noqa: E402
from xnas_tf.utils.intervals import accuracy_interval  # noqa: E402

if TYPE_CHECKING:
    import keras

    from xnas_tf.data import Dataset
    from xnas_tf.evaluation.evaluator import Result
    from xnas_tf.objectives.base import Subject

BUGS: dict[str, dict[str, Any]] = {
    "watermark": {},
    "faint watermark": {"visibility": 0.3},
    "wrong labels": {"kind": "wrong_labels"},
}
NONE = "none"
METHODS = ("integrated_gradients", "grad_cam")
LEARNED = 0.25
"""Least share of images that follow the watermark in a network that learned the bug."""


class Bench(debuggability_models.Bench):
    """The data set shapes with the quickstart's search space and training, in one process."""

    def __init__(self) -> None:
        super().__init__("dataset=shapes")
        from xnas_tf.data.bug import with_bug

        self.dataset = with_bug(self.dataset, {"share": 0.0})

    def rows(self, cell: dict[str, str], seed: int) -> list[dict[str, Any]]:
        """Train a cell without and with each bug, and return what is measured."""
        from xnas_tf.data.bug import with_bug

        found = []
        for name, options in {NONE: {}, **BUGS}.items():
            data = with_bug(self.dataset, options) if name in BUGS else self.dataset

            def look(result: Result, model: keras.Model, n=name, d=data) -> list[dict[str, Any]]:
                about = {"trained": n, "error": result.objectives["error"]}
                return [about | row for row in self._look(n, model, d)]

            found += self.train(data, cell, seed, look)
        return found

    def _look(self, name: str, model: keras.Model, data: Dataset) -> Iterator[dict[str, Any]]:
        """Measure a network with its own bug; without one, with every watermark and class."""
        from xnas_tf.data.bug import with_bug

        if name in BUGS:
            yield {"bug": name, "target": data.bug.target, **self._measured(model, data)}
            return
        yield {"bug": NONE, **self._maps(model, data)}
        for bug in ("watermark", "faint watermark"):
            for target in range(data.classes):
                control = with_bug(self.dataset, {**BUGS[bug], "share": 0.0, "target": target})
                yield {"bug": bug, "target": target, **self._measured(model, control)}

    def _measured(self, model: keras.Model, data: Dataset) -> dict[str, float]:
        """Measure everything that needs a bug."""
        from xnas_tf.objectives.planted_bug import PlantedBug
        from xnas_tf.objectives.repair import Repair

        subject, found = self._subject(model, data), {}
        for method in METHODS:
            score = PlantedBug(method=method).score(subject)
            metrics = {f"{key}/{method}": value for key, value in score.metrics.items()}
            found |= {f"planted_bug/{method}": score.value, **metrics}
        score = Repair().score(subject)
        return {**found, "repair": score.value, **score.metrics}

    def _maps(self, model: keras.Model, data: Dataset) -> dict[str, float]:
        """Measure what needs no bug."""
        from xnas_tf.objectives.consistency import Consistency
        from xnas_tf.objectives.localization import MaskMass, PointingGame

        subject, found = self._subject(model, data), {}
        for method in METHODS:
            for measure in (MaskMass(method=method), PointingGame(method=method)):
                score, key = measure.score(subject), f"{measure.name}/{method}"
                chance = score.metrics[f"{measure.name}/chance"]
                found |= {key: score.value, f"{key}/chance": chance}
        score = Consistency().score(subject)
        return {**found, "consistency": score.value, **score.metrics}

    def _subject(self, model: keras.Model, data: Dataset) -> Subject:
        from xnas_tf.evaluation.validator import validation_order
        from xnas_tf.objectives.base import Subject
        from xnas_tf.training.predictor import Predictor

        part = data.validation.select(validation_order(self._config, data)[:256])
        outputs, names = Predictor(model)(part.images), data.class_names
        truth = {"masks": part.masks, "bug": data.bug}
        return Subject(model, self._communicator, names, part.images, part.labels, outputs, **truth)


def share(flags: list[bool]) -> str:
    """Return a share with its count and its 95% interval."""
    interval = accuracy_interval(sum(flags), len(flags))
    if interval is None:
        return "no network"
    low, value, high = interval
    return f"{value:.2f} ({sum(flags)} of {len(flags)}; {low:.2f} to {high:.2f})"


def mean(rows: list[dict[str, Any]], name: str) -> str:
    """Return a mean with the smallest and the largest value."""
    values = [row[name] for row in rows]
    if not values:
        return ""
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def print_report(rows: list[dict[str, Any]]) -> None:
    """Print all tables."""
    plain = [row for row in rows if row["bug"] == NONE]
    lines = [
        [name, method, mean(plain, f"{name}/{method}"), mean(plain, f"{name}/{method}/chance")]
        for name in ("mask_mass", "pointing_game")
        for method in METHODS
    ]
    lines.append(
        ["consistency", "both", *(mean(plain, f"consistency{e}") for e in ("", "/chance"))]
    )
    print_table(["objective", "method", "value", "chance"], lines)
    lines, repairs = [], []
    for title, own in groups(rows).items():
        found = [
            cell
            for method in METHODS
            for cell in (
                mean(own, f"planted_bug/{method}"),
                share([row[f"planted_bug/found/{method}"] == 1 for row in own]),
            )
        ]
        follows = mean(own, "repair/learned")
        lines.append([title, str(len(own)), follows, *found])
        needed = share([row["repair"] > 0 for row in own])
        undone = share([row["repair/repaired"] == 1 for row in own if row["repair"] > 0])
        numbers = [mean(own, name) for name in ("repair", "repair/chance")]
        repairs.append([title, str(len(own)), follows, needed, undone, *numbers])
    head = [text for method in METHODS for text in (f"`planted_bug` {method}", "found")]
    print_table(["networks", "number", "follow the watermark", *head], lines)
    head = ["not 0", "repaired, of these", "`repair`", "random order"]
    print_table(["networks", "number", "follow the watermark", *head], repairs)


def groups(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of networks without a bug, and with each, learned or not."""
    measured = [row for row in rows if row["bug"] != NONE]
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in measured:
        if row["trained"] == NONE:
            title = f"without a bug, {row['bug']}"
        else:
            followed = row["repair/learned"] - row["repair/base"] >= LEARNED
            title = f"{row['trained']}, {'learned' if followed else 'not learned'}"
        grouped.setdefault(title, []).append(row)
    return grouped


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description="are planted bugs found, and false alarms rare?")
    parser.add_argument("cells", nargs="?", type=int, default=8, help="random cells")
    parser.add_argument("--seed", type=int, default=0, help="draws the cells and trains them")
    options = parser.parse_args()
    begin, bench, rows = time.perf_counter(), Bench(), []
    for number, cell in enumerate(draw_cells(options.cells, np.random.default_rng(options.seed))):
        for row in bench.rows(cell, options.seed):
            rows.append({"cell": number, **row})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print_report(rows)
    print(f"{options.cells} cells, {(time.perf_counter() - begin) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
