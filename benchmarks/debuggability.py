"""Do attributions reveal a bug that was planted in the training data, and do they reveal it
better in models of high introspectability?

python benchmarks/debuggability.py [CELLS] [--seeds N] [--seed N] [--figure FILE]

A small patch whose position or brightness gives the class away is planted in most training and
validation images. Random cells are trained with it, and once more without it as a control. On
held-out images with the patch, attributions are compared with where the patch is. Tables go to
standard output as Markdown, with 95% intervals by bootstrap over cells, then one line of JSON;
a line of JSON for each model goes to standard error. The method is in
docs/benchmarks/debuggability.md.
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

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script's own folder is all that is on it

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
    """Random cells with a path from input to output, each with other live operations."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    while len(cells) < count:
        cell = {edge: str(rng.choice(OPERATIONS)) for edge in EDGES}
        if live := live_edges(cell):
            cells.setdefault(tuple(cell[e] if e in live else "none" for e in EDGES), cell)
    return list(cells.values())


def look(
    bench: Bench, variant: Variant, _: Result, model: keras.Model
) -> tuple[dict[str, float], Seen]:
    """Introspectability of a model with the bug, and what it makes of the images. ``searched`` is
    the value on validation images with patches, as a search would see it."""
    searched = bench.introspectability(model, variant.dataset)["attributions"]
    return {**bench.introspectability(model), "searched": searched}, look_at(model, variant)


def run_cell(
    bench: Bench, cell: dict[str, str], seed: int, variants: Sequence[Variant]
) -> Iterator[tuple[str, dict[str, float], Explanation | None]]:
    """Trains a cell with each variant of the bug, then without it as a control that explains
    the same images; from the same initial weights and in the same order of images.

    Yields:
        Variant, figures and examples of each model with the bug.
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
    """Trains and measures everything.

    Returns:
        A row for each model with the bug, and by cell examples of the first variant and seed.
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
    """Runs everything, then prints the tables and the figures."""
    parser = argparse.ArgumentParser(description="does a planted bug show in attributions?")
    parser.add_argument("cells", nargs="?", type=int, default=20, help="random cells")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")
    parser.add_argument("--seed", type=int, default=0, help="the first one; also draws the cells")
    parser.add_argument("--figure", type=Path, help="draws examples into this PNG file")
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
