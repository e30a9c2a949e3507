"""Measures a training step of the quickstart's network as configured by default, compiled by XLA,
in mixed precision, and with both.

python benchmarks/training_modes.py

The modes are measured in turns within one process. The last line of the output is JSON:
milliseconds per step for each mode, and seconds of the first step.
"""

from __future__ import annotations

import json
import statistics
import time

from xnas_tf.utils.environment import set_defaults

set_defaults()

import numpy as np  # noqa: E402
from common import MIXED_CELL, cell_network  # noqa: E402

from xnas_tf.config import load_config  # noqa: E402
from xnas_tf.data import load_dataset  # noqa: E402
from xnas_tf.distributed import SingleProcess  # noqa: E402
from xnas_tf.training.compilation import compile_model  # noqa: E402
from xnas_tf.training.step import Step  # noqa: E402

ROUNDS, STEPS = 5, 15
MODES = {
    "default": [],
    "jit_compile": ["training.jit_compile=true"],
    "mixed_precision": ["training.mixed_precision=true"],
    "both": ["training.jit_compile=true", "training.mixed_precision=true"],
}


def make_step(settings: list[str]) -> Step:
    """Create a step of a new network (C=8, N=1)."""
    dataset, config = load_dataset("mnist5k"), load_config(overrides=settings).training
    model = cell_network(MIXED_CELL, (28, 28, 1), 8)
    compile_model(model, config, 100)
    model.optimizer.build(model.trainable_variables)
    return Step(model, dataset, config.batch_size, 0.0, config, SingleProcess())


def timed(step: Step, count: int) -> float:
    """Return the seconds per step on 48 images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (48, 28, 28, 1), np.uint8)
    labels = rng.integers(0, 10, 48, np.int32)
    begin = time.perf_counter()
    for _ in range(count):
        step(images, labels)
    step.wait()
    return (time.perf_counter() - begin) / count


def main() -> None:
    """Measure all modes, and print the results."""
    steps = {name: make_step(settings) for name, settings in MODES.items()}
    first = {name: round(timed(step, 1), 1) for name, step in steps.items()}
    rounds = [{name: timed(step, STEPS) for name, step in steps.items()} for _ in range(ROUNDS)]
    median = {name: statistics.median(each[name] for each in rounds) for name in steps}
    milliseconds = {name: round(value * 1000, 1) for name, value in median.items()}
    for name, value in milliseconds.items():
        print(f"{name:16} {value:7.1f} ms, the first {first[name]:5.1f} s")
    print(json.dumps({"milliseconds": milliseconds, "first": first}))


if __name__ == "__main__":
    main()
