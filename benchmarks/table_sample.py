r"""Choose networks of a table that represent all of its errors and sizes.

    python benchmarks/table_sample.py xnas_tf/benchmark/tables/digits.csv.gz \
        --count 500 --out networks.txt
    xnas-tf search table-quality --set search.networks=networks.txt

The rows are divided into as many strata of equal size as networks are wanted, by error and within
that by number of parameters, and one network of each stratum is drawn at random. Means over the
sample are therefore, up to rounding of the sizes, unbiased estimates of means over the table. The
file has one genotype per line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from xnas_tf.benchmark.table import read_table  # noqa: E402
from xnas_tf.errors import InputError  # noqa: E402


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path, help="name of a table in the package, or a file")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of networks")
    parser.add_argument("--out", type=Path, required=True, help="text file to write")
    given = parser.parse_args()
    try:
        table = read_table(given.table)
        error, size = (table.column(name) for name in ("error", "parameters"))
    except InputError as problem:
        parser.error(str(problem).removeprefix("--table").lstrip(": "))
    networks = len(table.genotypes)
    if not 1 <= given.count <= networks:
        parser.error(f"--count: given {given.count}; allowed: 1 to {networks}")
    # The order of rows may depend on how the table was collected, so ties are broken by genotype.
    order = np.argsort(table.genotypes)
    chosen = order[
        sample(error[order], size[order], given.count, np.random.default_rng(given.seed))
    ]
    given.out.write_text("".join(f"{table.genotypes[row]}\n" for row in chosen), encoding="utf-8")
    print(f"wrote {len(chosen)} of {networks} networks to {given.out}")


def sample(error: np.ndarray, size: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``count`` rows, one from each stratum of error and size; return their numbers."""
    groups = max(1, round(count**0.5))
    strata = np.array([len(part) for part in np.array_split(np.arange(count), groups)])
    # Groups of errors are as large as their numbers of strata require.
    ends = np.round(np.cumsum(strata)[:-1] * len(error) / count).astype(int)
    chosen = []
    for rows, parts in zip(np.split(np.argsort(error, kind="stable"), ends), strata, strict=True):
        by_size = rows[np.argsort(size[rows], kind="stable")]
        chosen += [rng.choice(part) for part in np.array_split(by_size, parts)]
    return np.array(chosen)


if __name__ == "__main__":
    main()
