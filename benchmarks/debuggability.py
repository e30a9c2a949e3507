"""Tests whether attributions reveal a bug planted in the training data, and whether they reveal it
better in models with high introspectability.

python benchmarks/debuggability.py [CELLS] [--seeds N] [--seed N] [--figure FILE]

A small patch whose position or brightness gives the class away is planted in most training and
validation images. Random cells are trained with the patch, and once more without it as a control.
On held-out images with the patch, attributions are compared with the position of the patch.
Markdown tables, with 95% bootstrap intervals over cells, and then one line of JSON go to standard
output; a line of JSON for each model goes to standard error. See docs/benchmarks/debuggability.md
for the method.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.debuggability_models import (  # noqa: E402
    Bench,
    compared,
    examples_of,
    look_at,
    make_variants,
)
from benchmarks.debuggability_report import Row, example_figure, print_report  # noqa: E402
from xnas_tf.spaces.cells import (  # noqa: E402
    EDGES,
    OPERATIONS,
    format_genotype,
    live_edges,
)

if TYPE_CHECKING:
    import keras

    from benchmarks.debuggability_models import Seen, Variant
    from xnas_tf.evaluation.evaluator import Result
    from xnas_tf.explanation import Explanation


def draw_cells(count: int, rng: np.random.Generator) -> list[dict[str, str]]:
    """Draw random cells with a path from input to output, each with different live operations."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    while len(cells) < count:
        cell = {edge: str(rng.choice(OPERATIONS)) for edge in EDGES}
        if live := live_edges(cell):
            cells.setdefault(tuple(cell[e] if e in live else "none" for e in EDGES), cell)
    return list(cells.values())


def look(
    bench: Bench, variant: Variant, _: Result, model: keras.Model
) -> tuple[dict[str, float], Seen]:
    """Measure the introspectability of a model with the bug, and its behaviour on the images.
    ``searched`` is the value on validation images with patches, as a search would see it."""
    searched = bench.introspectability(model, variant.dataset)["attributions"]
    return {**bench.introspectability(model), "searched": searched}, look_at(model, variant)


def run_cell(
    bench: Bench, cell: dict[str, str], seed: int, variants: Sequence[Variant]
) -> Iterator[tuple[str, dict[str, float], Explanation | None]]:
    """Train a cell with each variant of the bug, and then without it, as a control. Both explain
    the same images, and have the same initial weights and order of images.

    Yields:
        The variant, the measurements and the examples of each model with the bug.
    """
    found = [bench.train(v.dataset, cell, seed, partial(look, bench, v)) for v in variants]

    def look_again(_: Result, model: keras.Model) -> tuple[float, list[Seen]]:
        pairs = zip(variants, found, strict=True)
        seen = [look_at(model, variant, bugged.rows) for variant, (_, bugged) in pairs]
        return bench.introspectability(model)["attributions"], seen

    plain, controls = bench.train(bench.dataset, cell, seed, look_again)
    for variant, (measured, bugged), control in zip(variants, found, controls, strict=True):
        figures = {**measured, "control": plain, **compared(variant, bugged, control)}
        yield variant.name, figures, examples_of(bugged, bench.dataset.class_names)


def run(cells: int, seeds: range) -> tuple[list[Row], dict[int, Explanation]]:
    """Train all models and measure them.

    Returns:
        A row for each model with the bug, and examples of the first variant and seed by cell.
    """
    bench = Bench()
    drawn = draw_cells(cells, np.random.default_rng(seeds.start))
    rows, examples = [], {}
    for seed in seeds:
        variants = make_variants(bench.dataset, np.random.default_rng(seed))
        for number, cell in enumerate(drawn):
            for name, figures, explained in run_cell(bench, cell, seed, variants):
                rows.append(Row(number, seed, name, figures))
                if explained and (name, seed) == (variants[0].name, seeds.start):
                    examples[number] = explained
                line = {"cell": format_genotype(cell), "seed": seed, "variant": name, **figures}
                print(json.dumps(line), file=sys.stderr, flush=True)
    return rows, examples


def main() -> None:
    """Run everything, and print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description="test whether attributions show a planted bug")
    parser.add_argument("cells", nargs="?", type=int, default=20, help="number of random cells")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings per cell")
    parser.add_argument("--seed", type=int, default=0, help="first seed; it also draws the cells")
    parser.add_argument("--figure", type=Path, help="PNG file to draw examples into")
    options = parser.parse_args()
    begin = time.perf_counter()
    rows, examples = run(options.cells, range(options.seed, options.seed + options.seeds))
    figures = print_report(rows, np.random.default_rng(options.seed))
    if options.figure:
        example_figure(rows, examples).savefig(options.figure, dpi=90)
    minutes = round((time.perf_counter() - begin) / 60, 1)
    counts = {"cells": options.cells, "seeds": options.seeds, "minutes": minutes}
    print(json.dumps({**counts, **figures}))


if __name__ == "__main__":
    main()
