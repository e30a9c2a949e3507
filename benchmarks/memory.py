"""Measures resident memory during a search of many tiny candidates in one process.

python benchmarks/memory.py [CANDIDATES]

The growth is the ratio of the memory after the last candidate to the memory after the tenth. The
last line of the output is JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from common import resident_mb

import xnas_tf as xt


class Readings(xt.Callback):
    """Lists the resident memory, in MB, after each trained candidate."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_candidate_end(self, run, candidate):
        if candidate.trained:
            self.values.append(resident_mb())


def measure(candidates: int) -> list[float]:
    """Run a search, and return the resident memory after each trained candidate."""
    readings = Readings()
    overrides = [
        "dataset=digits",
        "space={name: nas_bench_201, channels: 2, cells_per_stack: 1}",
        "training={epochs: 1, batch_size: 64}",
        f"search={{candidates: {candidates}, population: 12}}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        xt.search(run_dir=Path(folder) / "run", overrides=overrides, callbacks=[readings])
    return readings.values


def main() -> None:
    """Print the measurements and the JSON line."""
    candidates = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    readings = measure(candidates)
    for number in range(9, len(readings), 10):
        print(f"after candidate {number + 1:4}: {readings[number]:7.0f} MB")
    figures = {
        "candidates": len(readings),
        "mb_after_10": round(readings[9]),
        "mb_after_last": round(readings[-1]),
        "growth": round(readings[-1] / readings[9], 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
