"""Tables of results: one row for each network and seed, from runs or from earlier tables."""

from __future__ import annotations

import csv
import gzip
import io
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import differences
from xnas_tf.errors import InputError
from xnas_tf.spaces.cells import EDGES, all_operations, network_of, parse_genotype
from xnas_tf.spaces.options import NASBench201Options
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import write_atomically
from xnas_tf.utils.quiet_stderr import silenced_native_code

KEY = ("arch", "seed")
"""Columns that identify a row: the genotype and the seed of the search."""
DIGITS = 5
"""Number of significant digits of values that are not whole; standard errors justify fewer."""
FLOPS, INDICES = "flops", "nas_bench_201"
"""Columns that follow from the genotype."""
OF_LAYERS = re.compile(
    r"(^|/)(activations/(?!standard_error$)"
    r"|disentanglement/(?!(uncorrected|false_alarms|kept|all_kept|classes)$))"
)
"""Metrics of individual layers, which some networks lack."""
SHUFFLE_SEED = 88
"""Seed of the published order of all cells."""
Row = dict[str, str]


def write_table(sources: Sequence[Path], path: Path) -> int:
    """Write the rows of runs and of earlier tables to a gzipped CSV file.

    Two columns follow from the genotype: ``nas_bench_201`` has the published indices of all cells
    of the network, separated by spaces, and ``flops`` has the operations for one image. The latter
    depends on the skeleton, so it is added only to rows of runs; other rows keep their values.

    Results that a run reused from earlier runs (``search.reuse``) are left out: they were trained
    with the seeds of those runs, which may be sources, too.

    Args:
        sources: Run directories, and tables written by this function.
        path: The file to write, which may be one of the sources.

    Returns:
        The number of rows.

    Raises:
        InputError: If a source is neither a run of NAS-Bench-201 nor a table, if sources differ in
            the values of a network and seed, the data, the settings or the skeleton, or if the file
            cannot be written.
    """
    if path.suffix != ".gz":
        raise InputError(f"--out: given {path}; allowed: a name that ends in .csv.gz")
    if not path.parent.is_dir():
        raise InputError(f"--out: there is no folder {path.parent}")
    runs = [Run(source) for source in sources if source.is_dir()]
    _check_same_settings(runs)
    rows: dict[tuple[str, ...], Row] = {}
    trained = set()  # keys of rows of runs
    for source in sources:
        for row in _rows(source):
            key = tuple(row[name] for name in KEY)
            known = rows.get(key, row)
            rows[key] = {**row, **known}
            if source.is_dir():
                trained.add(key)
            compared = [n for n in row if not n.startswith("seconds") and n in known]
            if column := next((n for n in compared if known[n] != row[n]), None):
                raise InputError(
                    f"{source}: {row['arch']} with seed {row['seed']} has {column} "
                    f"{row[column]}, but an earlier source has {known[column]}: were they made "
                    "with the same configuration?"
                )
    if not rows:
        raise InputError(f"{', '.join(map(str, sources))}: no candidate has been trained yet")
    _add_facts(rows, trained, runs)
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[key] for key in sorted(rows))
    # Without the time, so that the same rows give the same file.
    write_atomically(path, gzip.compress(text.getvalue().encode(), mtime=0))
    return len(rows)


def _add_facts(
    rows: dict[tuple[str, ...], Row], trained: Container[tuple[str, ...]], runs: Sequence[Run]
) -> None:
    """Add the columns that follow from the genotype, or check those that are known."""
    indices, flops = published_indices(), _count_flops(runs[0]) if runs else None
    for key, row in rows.items():
        genotype = row["arch"]
        facts = {INDICES: " ".join(map(str, indices[network_of(parse_genotype(genotype))]))}
        if flops and (key in trained or row.get(FLOPS)):
            facts[FLOPS] = str(flops(genotype))
        for name, value in facts.items():
            row[name] = row.get(name) or value  # an earlier table may have empty cells
            if row[name] != value:
                raise InputError(
                    f"{genotype} has {name} {row[name]} in a source; computed: {value}. Were all "
                    "sources made with the same data and space?"
                )


def _count_flops(run: Run) -> Callable[[str], int] | None:
    """Return a function that counts the operations of a genotype; None if nothing was trained."""
    data = run.fact("dataset")
    if not data or not isinstance(run.config.space, NASBench201Options):
        return None
    height, width, channels = data["image_shape"]
    classes = len(data["class_names"])
    with silenced_native_code():  # TensorFlow's profiler warns that it is deprecated
        from xnas_tf.benchmark.cell_flops import CellFlops

        return CellFlops(run.config.space.create((height, width, channels), classes))


def _check_same_settings(runs: Sequence[Run]) -> None:
    """Check that all runs trained and measured candidates on the same data in the same way."""

    def settings(run: Run) -> dict[str, Any]:
        config = run.config.model_dump(mode="json", exclude={"search", "distributed"})
        return {**config, "rungs": run.config.rungs, "images": run.fact("dataset")}

    for run in runs[1:]:
        first, other = settings(runs[0]), settings(run)
        if lines := differences(other, first, f"in {run.path}, in {runs[0].path}"):
            listed = "\n  ".join(lines)
            raise InputError(f"the runs of a table must have the same settings:\n  {listed}")


def _rows(source: Path) -> Iterator[Row]:
    if source.is_dir():
        yield from _rows_of_run(source)
        return
    try:
        with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if not set(KEY) <= set(reader.fieldnames or ()):
                raise InputError(f"{source}: there are no columns {' and '.join(KEY)}")
            for row in reader:
                if None in row or None in row.values():
                    count = len(reader.fieldnames or ())
                    raise InputError(
                        f"{source}, line {reader.line_num}: allowed: {count} values, as many as "
                        "the header has columns"
                    )
                parse_genotype(row["arch"], f"{source}, line {reader.line_num}")
                yield row
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source} is neither a run nor a table: {error}") from error


def _rows_of_run(path: Path) -> Iterator[Row]:
    run = Run(path)
    for candidate in run.candidates():
        # Successive halving leaves candidates that were not trained to the end. A reused result
        # belongs to the seed of another run, and would count twice.
        is_own = candidate.state == "done" and not candidate.reused_from
        if is_own and candidate.epochs == run.config.training.epochs:
            parse_genotype(candidate.genotype, f"{path}: a table needs nas_bench_201")
            formatted = {  # whole numbers, such as counts, are exact
                name: f"{value:.0f}" if float(value).is_integer() else f"{value:.{DIGITS}g}"
                for name, value in _values(candidate)
            }
            yield {"arch": candidate.genotype, "seed": str(run.config.search.seed), **formatted}


def _values(candidate: Candidate) -> Iterator[tuple[str, float]]:
    """Yield the names and finite values of a row."""
    yield from _finite(candidate.objectives.items())
    for epoch, history in enumerate(candidate.history[:-1], start=1):
        yield f"epoch_{epoch}/train_error", 1 - history["accuracy"]
        yield f"epoch_{epoch}/error", 1 - history["val_accuracy"]
        losses = {"train_loss": history["loss"], "val_loss": history["val_loss"]}
        yield from _finite((f"epoch_{epoch}/{name}", loss) for name, loss in losses.items())
    metrics = dict(candidate.metrics)
    yield "train_error", 1 - metrics.pop("accuracy")
    yield "train_loss", metrics.pop("loss")
    redundant = ("val_accuracy", "test_accuracy")
    yield from _finite(
        (name, value)
        for name, value in metrics.items()
        if name not in redundant and not OF_LAYERS.search(name)
    )
    yield "seconds", candidate.seconds_total


def _finite(pairs: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in pairs if math.isfinite(value))


@cache
def published_indices() -> Mapping[str, tuple[int, ...]]:
    """Return the published indices of all cells of each network, in increasing order.

    The keys are those of ``network_of``; the empty text stands for all infeasible cells.
    """
    indices: dict[str, list[int]] = defaultdict(list)
    for index, cell in enumerate(published_cells()):
        indices[network_of(cell)].append(index)
    return {network: tuple(each) for network, each in indices.items()}


def published_cells() -> list[dict[str, str]]:
    """Return all cells of NAS-Bench-201; a cell's position is its published index.

    The authors of NAS-Bench-201 and NATS-Bench put them in a random order with a fixed seed
    (``generate_meta_info`` in ``exps/NAS-Bench-201/main.py`` of
    https://github.com/D-X-Y/AutoDL-Projects). The position is the index in both APIs, for instance
    in ``api.query_by_index(index)``.
    """
    cells = [dict(zip(EDGES, each, strict=True)) for each in all_operations()]
    random.Random(SHUFFLE_SEED).shuffle(cells)
    return cells
