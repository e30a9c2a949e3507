"""Measures the memory and the waiting times of a search on files like those of ImageNet-16-120.

python benchmarks/imagenet16_120.py [ROWS]

Writes random images to a temporary folder, as pickles of ROWS images each (default: 128116, as
published, 1 GB in total). Of the images, 11.84% belong to the 120 classes. Then runs a search on
them with one tiny candidate. The last line of the output is JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import forget_peak, last_line, peak_mb

ROWS, VALIDATION_ROWS = 128_116, 50_000
IN_CLASSES = 151_700 / 1_281_167
"""Share of the published training images that belong to the first 120 of 1,000 classes."""
OVERRIDES = [
    "space={name: nas_bench_201, channels: 2, cells_per_stack: 1}",
    "training={epochs: 1, batch_size: 512}",
    "search={candidates: 1, population: 2}",
]


def write(folder: Path, rows: int) -> None:
    """Write eleven pickles as Python 3 writes them for Python 2, which need the most memory."""
    rng = np.random.default_rng(0)
    sizes = [rows] * 10 + [rows * VALIDATION_ROWS // ROWS]
    for number, size in enumerate(sizes, 1):
        name = f"train_data_batch_{number}" if number <= 10 else "val_data"
        few = round(size * (IN_CLASSES if number <= 10 else 0.12))
        labels = np.concatenate([np.arange(few) % 120 + 1, np.arange(size - few) % 880 + 121])
        content = {
            "data": rng.integers(0, 256, (size, 768), np.uint8),
            "labels": rng.permutation(labels).tolist(),
        }
        with (folder / name).open("wb") as file:
            pickle.dump(content, file, protocol=2)


def measure(folder: Path) -> dict[str, float]:
    """Create the cache, run a search, and return seconds and peaks of resident memory in MB."""
    from xnas_tf.data import load_dataset
    from xnas_tf.launcher.search import search
    from xnas_tf.training import trainer

    name = f"imagenet16_120:{folder}"
    start = time.perf_counter()
    images = sum(map(len, load_dataset(name).parts.values()))
    figures = {"images": images, "cache_seconds": time.perf_counter() - start}
    figures["cache_peak_mb"] = peak_mb()
    batches, first = trainer.training_batches, []

    def timed(*arguments):
        for batch in batches(*arguments):
            first.append(time.perf_counter())
            yield batch

    trainer.training_batches = timed
    forget_peak()
    start = time.perf_counter()
    search(run_dir=folder / "run", overrides=[f"dataset={name}", *OVERRIDES])
    figures["first_batch_seconds"] = first[0] - start
    figures["search_seconds"] = time.perf_counter() - start
    figures["search_peak_mb"] = peak_mb()
    return figures


def main() -> None:
    """Print the measurements."""
    if sys.argv[1:2] == ["in"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write(Path(folder), rows)
        print(f"files written in {time.perf_counter() - start:.0f} s")
        cache = os.path.join(folder, "cache")
        figures = json.loads(last_line(__file__, "in", folder, XDG_CACHE_HOME=cache))
    for key, value in figures.items():
        print(f"{key.replace('_', ' '):20} {value:10,.1f}")
    print(json.dumps({key: round(value, 1) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
