"""Measures how the loss of a rank affects other groups, by killing one of two groups on Ray.

python benchmarks/group_loss.py [--kills 5]

Each training step of a group records its time. For the group that was not killed, the longest pause
in the ten seconds before the kill is printed, as well as the longest pause until the lost group
trains again, and how long that takes. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil

SPACE = textwrap.dedent("""
    import os, time
    import keras, tensorflow as tf

    class Clock(keras.layers.Layer):
        def call(self, x, training=False):
            if training:
                x = tf.numpy_function(self.note, [x], x.dtype)
                x.set_shape((None, 8, 8, 1))
            return x

        def note(self, x):
            with open(f"steps/{os.getpid()}", "a") as file:
                file.write(f"{time.time()}\\n")
            return x

    def build(hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(hp.Int("filters", 4, 64), 3, activation="relu")(Clock()(inputs))
        x = keras.layers.Flatten()(x)
        return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
""")
SETTINGS = (
    "dataset=digits",
    "space={hypermodel: 'clocked:build'}",
    "training={epochs: 100000, batch_size: 16, checkpoint_minutes: 0.05}",
    "objectives=[error, parameters]",
    "search={candidates: 40, population: 4}",
)
BEFORE = 10.0
"""Number of seconds before a kill that are examined."""


def ranks_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the ranks that are training."""
    family = psutil.Process(process.pid).children(recursive=True)
    return [p for p in family if p.is_running() and "ray::Rank" in " ".join(p.cmdline())]


def steps(folder: Path, pid: int) -> np.ndarray:
    """Return the times of a rank's steps."""
    path = folder / "steps" / str(pid)
    return np.array(
        [float(line) for line in path.read_text().split()[:-1]] if path.exists() else []
    )


def wait_for_steps(folder: Path, process: subprocess.Popen) -> list[int]:
    """Wait until two ranks are training, and return their processes."""
    while True:
        pids = [p.pid for p in ranks_of(process)]
        if len(pids) == 2 and all(len(steps(folder, pid)) > 10 for pid in pids):
            return pids
        if process.poll() is not None:
            raise RuntimeError("the search ended")
        time.sleep(0.1)


def measure(folder: Path, process: subprocess.Popen) -> tuple[float, float, float]:
    """Kill a rank; return the other's longest pause before and after, and the recovery time."""
    time.sleep(BEFORE)
    lost, other = wait_for_steps(folder, process)
    killed = time.time()
    os.kill(lost, 9)
    time.sleep(1)
    pids = wait_for_steps(folder, process)
    (new,) = set(pids) - {other}
    again = steps(folder, new)[0]
    mine = steps(folder, other)
    before = np.diff(mine[(mine > killed - BEFORE) & (mine <= killed)]).max()
    after = np.diff(mine[(mine > killed - 1) & (mine <= again)]).max()
    return before, after, again - killed


def main() -> None:
    """Print a line per kill, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    kills = parser.parse_args().kills
    words = [str(Path(sys.executable).with_name("xnas-tf")), "search", "--groups", "2"]
    words += [word for text in SETTINGS for word in ("--set", text)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "steps").mkdir()
        (folder / "clocked.py").write_text(SPACE)
        process = subprocess.Popen(
            [*words, "--run-dir", "run"], cwd=folder, stderr=subprocess.DEVNULL
        )
        try:
            found = [measure(folder, process) for _ in range(kills)]
        finally:
            process.terminate()
            process.wait()
    for before, after, seconds in found:
        print(f"longest pause {before:.3f} s before, {after:.3f} s after; back in {seconds:.1f} s")
    before, after, seconds = (float(np.max(column)) for column in zip(*found, strict=True))
    print(
        json.dumps({"pause_before": before, "pause_after": after, "seconds_until_again": seconds})
    )


if __name__ == "__main__":
    main()
