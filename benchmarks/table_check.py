"""Re-train random rows of a table, and compare all values with those of the table.

    python benchmarks/table_check.py digits
    python benchmarks/table_check.py part.csv.gz --config table-digits --rows 5

A value agrees if it is the same to four significant digits, or within 0.0002. That is expected on
the machine and with the versions that made the table; elsewhere, rounding changes the course of
training, and values differ as much as for another seed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import xnas_tf as xt
from xnas_tf.benchmark.simulation import CellSpace
from xnas_tf.benchmark.table import FOLDER
from xnas_tf.benchmark.table_rows import write_table
from xnas_tf.config import load_config
from xnas_tf.spaces.cells import EDGES, all_operations, format_genotype
from xnas_tf.strategy import Algorithm
from xnas_tf.strategy.options import SearchOptions

RELATIVE, ABSOLUTE = 2e-4, 2e-4
UNCHECKED = ("arch", "seed", "seconds", "nas_bench_201")

Row = dict[str, str]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", help="name of a table in the package, or a file")
    parser.add_argument("--config", help="default: the configuration of the table")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of rows")
    given = parser.parse_args()
    file = Path(given.table)
    rows = _read(file if file.is_file() else FOLDER / f"{given.table}.csv.gz")
    rng, order, deviations = np.random.default_rng(given.seed), _order(), _deviations(rows)
    config = given.config or f"table-{given.table}"
    results = []
    for index in rng.choice(len(rows), given.rows, replace=False):
        row = rows[index]
        again = _trained_again(row, order.index(row["arch"]), config)
        results.append(_compared(row, again, deviations))
    same = sum(not result["different"] for result in results)
    print(f"{same} of {len(results)} rows are the same")
    print(json.dumps({"table": given.table, "rows": len(rows), "same": same, "checked": results}))


def _order() -> list[str]:
    """Return the genotypes of all networks in the order in which `algorithm: all` trains them."""
    genotypes = {
        format_genotype(dict(zip(EDGES, each, strict=True))): 0 for each in all_operations()
    }
    search = SearchOptions(algorithm="all")
    algorithm = Algorithm(search, {"error": "minimize"}, CellSpace(genotypes), steady_state=True)
    return [proposal.genotype for proposal in iter(algorithm.ask, None)]


def _trained_again(row: Row, position: int, config: str) -> Row:
    """Train the network of a row again, in a search of its own, and return the new row."""
    overrides = [f"search.seed={row['seed']}", f"search.skip={position}", "search.candidates=1"]
    with tempfile.TemporaryDirectory() as folder:
        run, out = Path(folder) / "run", Path(folder) / "row.csv.gz"
        xt.search(load_config(config, overrides), run, verbose=0)
        write_table([run], out)
        return _read(out)[0]


def _read(path: Path) -> list[Row]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def _compared(row: Row, again: Row, deviations: dict[str, float]) -> dict[str, Any]:
    """Return the columns that differ, and the largest difference in deviations of the seeds."""
    pairs = {
        name: (float(value), float(again[name]))
        for name, value in row.items()
        if name not in UNCHECKED and value
    }
    different = [
        name
        for name, (old, new) in pairs.items()
        if not math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    ]
    spreads = [
        abs(old - new) / deviations[name]
        for name, (old, new) in pairs.items()
        if deviations.get(name)
    ]
    found = {"arch": row["arch"], "seed": row["seed"], "values": len(pairs)}
    found |= {"different": different, "largest": max(spreads, default=0.0)}
    print(f"{row['arch']} seed {row['seed']}: {len(different)} of {len(pairs)} values differ")
    return found


def _deviations(rows: list[Row]) -> dict[str, float]:
    """Return the standard deviation of each column over the seeds of a network, pooled."""
    by_network: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_network[row["arch"]].append(row)
    columns = [name for name in rows[0] if name not in UNCHECKED]
    variances: dict[str, list[float]] = defaultdict(list)
    for each in by_network.values():
        for name in columns:
            values = [float(row[name]) for row in each if row[name]]
            if len(values) > 1:
                variances[name].append(float(np.var(values, ddof=1)))
    return {name: math.sqrt(np.mean(each)) for name, each in variances.items()}


if __name__ == "__main__":
    main()
