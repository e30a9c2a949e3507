"""Two ways of searching compared in turns.

The speed of this machine goes up and down by a half within a minute, which no order of runs makes
up for. So both searches run at the same time and yet never together: each is stopped while the
other has its turn. Of the same two ways the ratio was 1.525 and 1.521; of searches that ran one
after the other, 1.22 and 1.67.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from xnas_tf.report.intervals import mean_interval

ROOT = Path(__file__).resolve().parents[1]

TURN = 0.5
"""Seconds of a turn: shorter than a candidate takes, and longer by far than it takes to switch."""


def speedup(
    name: str, ways: Sequence[Sequence[str]], options: Sequence[str], candidates: int, seeds: int
) -> dict[str, float]:
    """How many times the candidates an hour the first of two ways has.

    Args:
        name: Of the figures.
        ways: Words after ``python`` that run the command line.
        options: Of a search of one process.
        candidates: How many it trains.
        seeds: Searches each way, of so many seeds.

    Returns:
        Means over the seeds, and the 95% interval of the ratios' mean if there are several.
    """
    hours = []
    for seed in range(seeds):
        seconds = _search(ways, [*options, "--set", f"search.seed={seed}"])
        hours.append([3600 * candidates / each for each in seconds])
        told = " and ".join(f"{each:.1f} s" for each in seconds)
        print(f"{name}, seed {seed}, in turns: {told}: {seconds[1] / seconds[0]:.3f}", flush=True)
    ratios = [one / other for one, other in hours]
    low, mean, high = mean_interval(ratios) or (ratios[0],) * 3
    one, other = (sum(rates) / seeds for rates in zip(*hours, strict=True))
    return {
        f"{name}_per_hour": one,
        f"{name}_per_hour_other": other,
        f"{name}_speedup": mean,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _search(ways: Sequence[Sequence[str]], options: Sequence[str]) -> list[float]:
    """Seconds of the same search in several ways."""
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for number, way in enumerate(ways):
            path = Path(folder) / str(number)
            words = [sys.executable, *way, "search", *options, "--run-dir", str(path)]
            with path.with_suffix(".txt").open("w") as output:
                process = subprocess.Popen(
                    words, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
                )
            started.append(process)
        seconds = in_turns(started)
        for number, process in enumerate(started):
            if process.returncode:
                raise RuntimeError((Path(folder) / f"{number}.txt").read_text()[-2000:])
    return seconds


def in_turns(processes: Sequence[subprocess.Popen]) -> list[float]:
    """Lets one process run at a time, each for as long as the others, until all have ended.

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
            if _has_ended(processes[place]):
                waiting.remove(place)
            seconds[place] += time.perf_counter() - began
    return seconds


def _has_ended(process: subprocess.Popen) -> bool:
    """Whether it has, by the end of its turn."""
    os.killpg(process.pid, signal.SIGCONT)
    try:
        process.wait(TURN)
        return True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGSTOP)
        return False
