"""Measures candidates per hour on two cores, where the time goes, and memory in a long search.

python benchmarks/throughput.py [--candidates 200] [--own 60] [--seeds 3] [--long 1000] [--only X]

"lines" is XNAS's own task: 96 training images of 12x12 pixels, 4 classes, 1 epoch, batch 512, Adam
0.01, C=16, two cells per stack, and introspectability by activations. It runs on two groups on Ray,
and in one process. The quickstart runs unchanged. "hypermodel" is configs/hypermodel.yaml with more
candidates, in one process. "lines" and "hypermodel" are searched as usual and without accelerators
(accelerators.py); ratios for "hypermodel" come from searches in turns (throughput_turns.py).
Seconds are those of the whole process, from start to end. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import psutil
from throughput_lines import drift, lines
from throughput_turns import speedup

from xnas_tf.candidate import PHASES
from xnas_tf.storage.run import Run

ROOT = Path(__file__).resolve().parents[1]
USUAL = (sys.executable, "-m", "xnas_tf")
PLAIN = (sys.executable, str(ROOT / "benchmarks" / "accelerators.py"), "--way", "any")
LINES = (
    "space={name: nas_bench_201, channels: 16, cells_per_stack: 2}",
    "training={epochs: 1, batch_size: 512, optimizer: adam, learning_rate: 0.01}",
    "objectives=[error, {name: introspectability, sources: [activations]}]",
    "distributed.threads_per_rank=1",
)


class Search:
    """One search in its own processes.

    Attributes:
        seconds: Seconds from start to end.
        start: Seconds until the first candidate was assigned.
        end: Seconds after the last candidate had ended.
        run: The run that the search wrote.
        memory: Total resident MB of all ranks, by the number of candidates that had ended.
    """

    def __init__(self, folder: Path, how: tuple[str, ...], options: list[str]) -> None:
        path = folder / "run"
        words = [*how, "search", *options, "--run-dir", str(path)]
        began = time.time()
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=output)
            self.memory = self._watch(process, path)
        ended = time.time()
        self.seconds = ended - began
        if process.returncode:
            raise RuntimeError((folder / "output").read_text()[-2000:])
        self.run = Run(path)
        candidates = self.run.candidates()
        first = min(datetime.fromisoformat(c.started) for c in candidates if c.started)
        last = max(datetime.fromisoformat(c.finished) for c in candidates)
        self.start, self.end = first.timestamp() - began, ended - last.timestamp()

    def _watch(self, process: subprocess.Popen, path: Path) -> dict[int, float]:
        memory: dict[int, float] = {}
        while True:
            try:
                process.wait(timeout=2)
                return memory
            except subprocess.TimeoutExpired:
                if (path / "run.sqlite").exists():
                    ended = sum(bool(c.finished) for c in Run(path).candidates())
                    # Take the maximum, because a process that has just ended has none.
                    memory[ended] = max(memory.get(ended, 0.0), resident_mb(process.pid))


def resident_mb(number: int) -> float:
    """Return the resident MB of a process and all its descendants."""
    total = 0
    parent = psutil.Process(number)
    for process in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it has ended in the meantime
            total += process.memory_info().rss
    return total / 2**20


def phases(run: Run) -> dict[str, float]:
    """Return a trained candidate's median seconds by phase, their sum, and the median wait before
    it, in which the group's previous candidate is recorded. ``record`` is a mean, because few
    models are kept."""
    trained = [c for c in run.candidates() if c.state == "done" and c.trained]
    spent = {name: [c.seconds.get(name, 0.0) for c in trained] for name in (*PHASES, "wait")}
    found = {name: np.mean(s) if name == "record" else np.median(s) for name, s in spent.items()}
    return {**found, "all": np.median([c.seconds_total for c in trained])}


def lines_options(folder: Path, candidates: int) -> list[str]:
    """Write the data of "lines", with 96 training images, and return the search's configuration."""
    images, kinds = lines(160)
    np.savez(folder / "lines.npz", x=images, y=kinds)
    texts = [f"dataset=npz:{folder / 'lines.npz'}", *LINES]
    texts += [f"search={{candidates: {candidates}, population: 24}}"]
    return [word for text in texts for word in ("--set", text)]


def report(name: str, search: Search, count: int) -> float:
    """Print a line, and return the candidates per hour."""
    spent = "  ".join(f"{phase} {value:.2f}" for phase, value in phases(search.run).items())
    rate = 3600 * count / search.seconds
    whole = f"{search.seconds:6.1f} s, of which start {search.start:.0f}, end {search.end:.0f}"
    print(f"{name:18} {whole}: {rate:.0f} per hour\n  median: {spent}", flush=True)
    return rate


def compare_lines(candidates: int) -> dict[str, float]:
    """Search "lines" on two groups, then in one process with and without accelerators."""
    with tempfile.TemporaryDirectory() as folder:
        options = [*lines_options(Path(folder), candidates), "--engine", "ray", "--groups", "2"]
        search = Search(Path(folder), USUAL, options)
        groups = report("lines, two groups", search, candidates)
    usual, plain = rates("lines", candidates, lambda folder: lines_options(folder, candidates))
    return {
        "lines_per_hour": groups,
        "lines_per_hour_one_process": usual,
        "lines_per_hour_plain": plain,
        "speedup_over_plain": usual / plain,
    }


def compare_hypermodel(candidates: int, seeds: int) -> dict[str, float]:
    """Search a user's HyperModel with and without accelerators: as configured, where searches
    choose different candidates from the first rounding error on, and with the same candidates in
    both."""
    options = ["configs/hypermodel.yaml", "--set", f"search.candidates={candidates}"]
    rates("hypermodel", candidates, lambda _: options)  # to show where the time goes
    same = [*options, "--set", "search.algorithm=random"]
    ways = {"usual": USUAL, "plain": PLAIN}
    return {
        **speedup("hypermodel", ways, options, candidates, seeds),
        **speedup("hypermodel_same", ways, same, candidates, seeds),
    }


def rates(name: str, candidates: int, options: Callable[[Path], list[str]]) -> list[float]:
    """Return the candidates per hour with and without accelerators, measured in sequence."""
    found = []
    for way, how in {"usual": USUAL, "plain": PLAIN}.items():
        with tempfile.TemporaryDirectory() as folder:
            search = Search(Path(folder), how, options(Path(folder)))
            found.append(report(f"{name}, {way}", search, candidates))
    return found


def quickstart() -> dict[str, float]:
    """Run the whole quickstart."""
    with tempfile.TemporaryDirectory() as folder:
        search = Search(Path(folder), USUAL, ["configs/quickstart.yaml"])
        report("quickstart", search, len(search.run.candidates()))
        return {"quickstart_seconds": search.seconds}


def grow(candidates: int) -> dict[str, float]:
    """Measure the memory and the pace of a long search on "lines", in one process."""
    with tempfile.TemporaryDirectory() as folder:
        search = Search(Path(folder), USUAL, lines_options(Path(folder), candidates))
        report(f"lines, {candidates}", search, candidates)
        numbers = np.array(sorted(search.memory))
        first = search.memory[int(numbers[numbers >= 100][0])]
        last = search.memory[int(numbers[-1])]
        candidates = [c for c in search.run.candidates() if c.trained]
        trained = sorted(candidates, key=lambda c: c.finish_order)
    spent = [c.seconds_total for c in trained]
    low, high = drift([c.genotype for c in trained], spent)
    return {
        "memory_mb_at_100": first,
        "memory_mb_at_end": last,
        "memory_growth": last / first,
        "seconds_early": float(np.median(spent[100:200])),
        "seconds_late": float(np.median(spent[-100:])),
        "drift_low": low,
        "drift_high": high,
    }


def main() -> None:
    """Print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--own", type=int, default=60, help="number of candidates of hypermodel")
    parser.add_argument("--seeds", type=int, default=3, help="searches to compare in turns")
    parser.add_argument("--long", type=int, default=1000)
    parser.add_argument("--only", choices=["lines", "hypermodel", "quickstart", "long"])
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds: given {arguments.seeds}, allowed: 1 or more")
    parts = {
        "lines": lambda: compare_lines(arguments.candidates),
        "hypermodel": lambda: compare_hypermodel(arguments.own, arguments.seeds),
        "quickstart": quickstart,
        "long": lambda: grow(arguments.long),
    }
    figures: dict[str, float] = {}
    for name, part in parts.items():
        if arguments.only in (None, name):
            figures |= part()
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
