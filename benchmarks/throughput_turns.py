"""Two ways of searching compared in turns.

The speed of this machine goes up and down by a half within a minute, which no order of runs makes
up for. So both searches run at the same time and yet never together: each is stopped while the
other has its turn. The same candidates trained both ways, seed by seed, had the ratios 1.525 and
1.521; one search after the other, 1.22 and 1.67. Once the first has ended the other runs alone.
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
"""Seconds of a turn: shorter than a candidate takes, and longer by far than it takes to switch."""


def speedup(
    name: str,
    ways: Mapping[str, Sequence[str]],
    options: Sequence[str],
    candidates: int,
    seeds: int,
) -> dict[str, float]:
    """How many times the candidates an hour the first of two ways has.

    Args:
        name: Of the figures.
        ways: Words before ``search``, from the Python on, by the way's name.
        options: Of a search of one process.
        candidates: How many it trains.
        seeds: Searches each way, of so many seeds.

    Returns:
        Means over the seeds, and the 95% interval over all seeds of the ratios' mean if there are
        several.
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
    """Seconds of the same search in several ways; their runs are 0, 1, … in the folder."""
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
    """A search in a session of its own, which ends with the block."""
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
        if process.poll() is None:  # Ctrl-C does not reach it
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def in_turns(processes: Sequence[subprocess.Popen]) -> list[float]:
    """Lets one process run at a time, each for as long as the others, until they have ended.

    Args:
        processes: Just started, each in a session of its own, with its children in it.

    Returns:
        Seconds that each was running, in their order.
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
    """Lets a process run; whether it wants another turn."""
    os.killpg(process.pid, signal.SIGCONT)
    try:
        process.wait(TURN)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGSTOP)
        return True
