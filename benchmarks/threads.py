"""Compares numbers of threads within and between operations, for a training step and 500
predictions of cells and chains of layers, with several sizes of images and channels.

python benchmarks/threads.py

Each setting has its own processes, because TensorFlow sets its threads only once; the processes of
all settings take turns. The last line of the output is JSON: milliseconds by network and setting,
the best of all rounds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from common import MIXED_CELL, cell_network, last_line

SETTINGS = ("2,2", "1,2", "2,1", "1,1")
PROCESSES, ROUNDS, SECONDS = 2, 3, 0.6
NETWORKS = {
    "cell C=8 28px batch 48": ("cell", 8, 28, 48),
    "cell C=16 12px batch 96": ("cell", 16, 12, 96),
    "cell C=16 32px batch 256": ("cell", 16, 32, 256),
    "cell C=32 16px batch 48": ("cell", 32, 16, 48),
    "chain C=16 32px batch 64": ("chain", 16, 32, 64),
    "chain C=64 32px batch 64": ("chain", 64, 32, 64),
}


def measure(intra: int, inter: int) -> dict[str, float]:
    """Return the milliseconds of each network's step and predictions."""
    from xnas_tf.utils.environment import set_defaults

    set_defaults()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(intra)
    tf.config.threading.set_inter_op_parallelism_threads(inter)
    return {
        f"{name}, {what}": milliseconds
        for name, settings in NETWORKS.items()
        for what, milliseconds in _measured(*settings).items()
    }


def _measured(kind: str, channels: int, pixels: int, batch: int) -> dict[str, float]:
    import numpy as np

    from xnas_tf.config import load_config
    from xnas_tf.data import load_dataset
    from xnas_tf.distributed import SingleProcess
    from xnas_tf.training.compilation import compile_model
    from xnas_tf.training.predictor import Predictor
    from xnas_tf.training.step import Step

    model, config = _network(kind, channels, pixels), load_config().training
    compile_model(model, config, 100)
    model.optimizer.build(model.trainable_variables)
    step = Step(model, load_dataset("digits"), batch, 0.0, config, SingleProcess())
    predictor = Predictor(model)
    images = np.random.default_rng(0).integers(0, 256, (500, pixels, pixels, 3), np.uint8)
    given = images[:batch], np.arange(batch, dtype=np.int32) % 10
    return {
        "a step": _best(lambda: (step(*given), step.wait())),
        "500 predictions": _best(lambda: predictor(images)),
    }


def _network(kind: str, channels: int, pixels: int):
    """Build a network of cells, or a chain like VGG, for colour images."""
    import keras_tuner

    from xnas_tf.spaces.vgg_like import VGGLike

    shape = (pixels, pixels, 3)
    if kind == "cell":
        return cell_network(MIXED_CELL, shape, channels)
    return VGGLike(shape, 10, channels, blocks=3).build(keras_tuner.HyperParameters())


def _best(call: Callable[[], object]) -> float:
    """Return the milliseconds of the fastest of several rounds of half a second."""
    call()
    begin = time.perf_counter()
    call()
    count = max(1, int(SECONDS / (time.perf_counter() - begin)))
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - begin) / count * 1000)
    return min(times)


def main() -> None:
    """Measure in separate processes, and print a table."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(*map(int, sys.argv[1].split(",")))))
        return
    found: dict[str, dict[str, float]] = {}
    for _ in range(PROCESSES):
        for setting in SETTINGS:
            for name, value in json.loads(last_line(__file__, setting)).items():
                row = found.setdefault(name, {})
                row[setting] = round(min(value, row.get(setting, value)), 1)
    print(f"{'threads within and between':42}" + "".join(f"{each:>9}" for each in SETTINGS))
    for name, row in found.items():
        print(f"{name:42}" + "".join(f"{row[each]:9.1f}" for each in SETTINGS))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
