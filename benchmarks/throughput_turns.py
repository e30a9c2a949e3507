"""Compares ways of searching, which take turns.

The speed of this machine varies by a half within a minute, and no order of runs makes up for this.
Therefore the two searches take turns: each one is stopped while the other is running. When the same
candidates were trained both ways, seed by seed, the ratios were 1.525 and 1.521 in turns, but 1.22
and 1.67 if one search followed the other. Once the first search has ended, the other runs alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xnas_tf.utils.intervals import mean_interval

ROOT = Path(__file__).resolve().parents[1]

TURN = 0.5
"""Seconds of a turn, which is shorter than a candidate takes and much longer than a switch."""


def speedup(
    name: str,
    ways: Mapping[str, Sequence[str]],
    options: Sequence[str],
    candidates: int,
    seeds: int,
) -> dict[str, float]:
    """Return how many times as many candidates per hour the first of two ways trains.

    Args:
        name: Name of the results.
        ways: The words of the command before ``search``, starting with the Python, by name of the
            way.
        options: Options of a search in one process.
        candidates: Number of candidates to train.
        seeds: Number of seeds, each with a search in both ways.

    Returns:
        Means over the seeds and, if there are several seeds, the 95% interval of the mean ratio.
    """
    hours = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            given = [*options, "--set", f"search.seed={seed}"]
            seconds = search_in_turns(list(ways.values()), given, Path(folder))
        hours.append([3600 * candidates / each for each in seconds])
        told = " and ".join(f"{each:.1f} s" for each in seconds)
        print(f"{name}, seed {seed}, in turns: {told}: {seconds[1] / seconds[0]:.3f}", flush=True)
    ratios = [one / other for one, other in hours]
    one, other = (sum(rates) / seeds for rates in zip(*hours, strict=True))
    _, second = ways
    figures = {"per_hour": one, f"per_hour_{second}": other, "speedup": sum(ratios) / seeds}
    if interval := mean_interval(ratios):
        figures |= {"speedup_low": interval[0], "speedup_high": interval[2]}
    return {f"{name}_{key}": value for key, value in figures.items()}


def search_in_turns(
    ways: Sequence[Sequence[str]], options: Sequence[str], folder: Path
) -> list[float]:
    """Run a search in several ways, with the runs 0, 1, … in the folder; return their seconds."""
    with ExitStack() as stack:
        outputs = [folder / f"{number}.txt" for number in range(len(ways))]
        started = [
            stack.enter_context(_started([*way, "search", *options], output))
            for way, output in zip(ways, outputs, strict=True)
        ]
        seconds = in_turns(started)
        for process, output in zip(started, outputs, strict=True):
            if process.returncode:
                raise RuntimeError(output.read_text()[-2000:])
    return seconds


@contextmanager
def _started(words: Sequence[str], output: Path) -> Iterator[subprocess.Popen]:
    """Start a search in its own session, and end it with the block."""
    words = [*words, "--run-dir", str(output.with_suffix(""))]
    with output.open("w") as file:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:  # Ctrl-C does not reach the process
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def in_turns(processes: Sequence[subprocess.Popen]) -> list[float]:
    """Let one process run at a time, with turns of equal length, until all have ended.

    Args:
        processes: Newly started processes, each in its own session together with its children.

    Returns:
        The seconds that each process was running, in the given order.
    """
    for process in processes:
        os.killpg(process.pid, signal.SIGSTOP)
    seconds = [0.0] * len(processes)
    waiting = list(range(len(processes)))
    while waiting:
        for place in list(waiting):
            began = time.perf_counter()
            if not _takes_turn(processes[place]):
                waiting.remove(place)
            seconds[place] += time.perf_counter() - began
    return seconds


def _takes_turn(process: subprocess.Popen) -> bool:
    """Let a process run, and return whether it needs another turn."""
    os.killpg(process.pid, signal.SIGCONT)
    try:
        process.wait(TURN)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGSTOP)
        return True
