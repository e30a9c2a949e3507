"""Functions that several benchmarks share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.cells import OPERATIONS, parse_genotype
from xnas_tf.spaces.variables import Choice
from xnas_tf.utils.intervals import mean_interval

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).resolve().parents[1]
MIXED_CELL = (
    "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
CONVOLUTIONS = (
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|"
    "+|nor_conv_1x1~0|skip_connect~1|nor_conv_3x3~2|"
)
T = TypeVar("T")


def cell_network(
    cell: str | Mapping[str, str], shape: tuple[int, int, int], channels: int, stack: int = 1
) -> keras.Model:
    """Build a network of NAS-Bench-201 cells with ten classes, from a genotype or operations."""
    import keras_tuner

    from xnas_tf.spaces.nas_bench_201 import NASBench201

    hp = keras_tuner.HyperParameters()
    hp.values = parse_genotype(cell) if isinstance(cell, str) else dict(cell)
    return NASBench201(shape, 10, channels, stack).build(hp)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file with a JSON object per line; none if it does not exist.

    A last line that a killed process left incomplete is removed from the file.
    """
    text = path.read_text() if path.exists() else ""
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        path.write_text(complete)
    return [json.loads(line) for line in complete.splitlines()]


class WideSpace(Space):
    """Cells with more edges than those of NAS-Bench-201."""

    def __init__(self, edges: int) -> None:
        self.variables = tuple(Choice(f"edge_{i}", OPERATIONS) for i in range(edges))
        self.size = float(len(OPERATIONS) ** edges)

    def genotype(self, values: dict) -> str:
        return "|".join(values.values())


def last_line(script: str, *words: str, **environment: str) -> str:
    """Run a script in its own process, and return the last line that it prints."""
    output = subprocess.run(
        [sys.executable, script, *words],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return output.splitlines()[-1]


def search(config: str, run: Path, changes: Sequence[str]) -> None:
    """Run a search with changes to a configuration, in a process with one thread."""
    options = [word for text in changes for word in ("--set", text)]
    command = [sys.executable, "-m", "xnas_tf", "search", config, "--run-dir", str(run), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


def with_and_without(
    work: Callable[[int, bool], T], seeds: int, jobs: int
) -> tuple[list[T], list[T]]:
    """Call a function for each seed, with a feature and without it, several calls at a time."""
    if seeds < 2:  # before hours of searches
        raise SystemExit(f"--seeds: given {seeds}; allowed: 2 or more, for an interval")
    pairs = [(seed, way) for seed in range(seeds) for way in (True, False)]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(work, *zip(*pairs, strict=True)))
    return found[::2], found[1::2]


def gain(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return the mean difference with its 95% interval (Student's t)."""
    low, mean, high = mean_interval(np.subtract(one, other))
    return {"gain": mean, "gain_low": low, "gain_high": high}


def print_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table and an empty line."""
    for line in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(line)} |")
    print()


# Memory in MB, as counted by Linux.


def resident_mb() -> float:
    """Return the resident memory of this process."""
    return _status_mb("VmRSS")


def peak_mb() -> float:
    """Return the largest resident memory since ``forget_peak``, or since the start."""
    return _status_mb("VmHWM")


def forget_peak() -> float:
    """Reset the peak, and return the current resident memory."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_mb()


def _status_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024
