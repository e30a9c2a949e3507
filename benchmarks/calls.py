"""Training steps and predictions in a loop of the graph, in turn, and in turn with the trace that
fits looked up each time, as ``tf.function`` does.

python benchmarks/calls.py [--threads WITHIN BETWEEN]

For networks of several kinds, and the one that stands for all cells of the quickstart: seconds of
the first step, which is traced, milliseconds of a step in calls of 16 and of 1,000 predictions in
calls of four batches, in turns within one process; after how many steps the loop has made up for
its trace. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import keras_tuner  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from examples.small_convnet import SmallConvNet  # noqa: E402
from xnas_tf.config.models import TrainingOptions  # noqa: E402
from xnas_tf.data import load_dataset  # noqa: E402
from xnas_tf.distributed import SingleProcess  # noqa: E402
from xnas_tf.evaluation.supernet.network import Supernet, WeightBinding  # noqa: E402
from xnas_tf.keras_tools.tracing import MANY_RUNS, kept_arithmetic  # noqa: E402
from xnas_tf.spaces.cells import parse_genotype  # noqa: E402
from xnas_tf.spaces.nas_bench_201 import NASBench201  # noqa: E402
from xnas_tf.spaces.vgg_like import VGGLike  # noqa: E402
from xnas_tf.training.compilation import compile_model  # noqa: E402
from xnas_tf.training.multi_step import MOST_STEPS  # noqa: E402
from xnas_tf.training.predictor import BATCH, Predictor  # noqa: E402
from xnas_tf.training.step import Step  # noqa: E402

CELL = "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|"
ROUNDS = 4
IMAGES = 1000


def cells(shape: tuple[int, int, int], channels: int, stack: int) -> keras.Model:
    """The network of a cell."""
    hp = keras_tuner.HyperParameters()
    hp.values = parse_genotype(CELL)
    return NASBench201(shape, 10, channels, stack).build(hp)


def shared(shape: tuple[int, int, int]) -> keras.Model:
    """The quickstart's network for all cells, being that of this cell."""
    network = Supernet(NASBench201(shape, 10, 8, 1))
    WeightBinding(network, parse_genotype(CELL), cells(shape, 8, 1)).take()
    return network.model


NETWORKS: dict[str, tuple[tuple[int, int, int], int, Callable[..., keras.Model]]] = {
    "convnet 8px": ((8, 8, 1), 32, lambda s: SmallConvNet(s, 10).build(_default())),
    "vgg 32px": ((32, 32, 3), 64, lambda s: VGGLike(s, 10, 16, 3).build(_default())),
    "cell C=16 N=2 12px": ((12, 12, 1), 96, lambda s: cells(s, 16, 2)),
    "cell C=8 N=1 28px": ((28, 28, 1), 48, lambda s: cells(s, 8, 1)),
    "all cells C=8 N=1 28px": ((28, 28, 1), 48, shared),
}


def _default() -> keras_tuner.HyperParameters:
    return keras_tuner.HyperParameters()


class Way:
    """A network whose steps and predictions run in one of the ways.

    Attributes:
        first: Seconds of the first step.
    """

    def __init__(self, model: keras.Model, batch: int, runs: int) -> None:
        config = TrainingOptions()
        if not model.compiled:
            compile_model(model, config, 100)
        model.optimizer.build(model.trainable_variables)
        data, alone = load_dataset("digits"), SingleProcess()
        self._step = Step(model, data, batch, config.weight_decay, config, alone, runs)
        self._predictor = Predictor(model, runs * BATCH)
        rng, shape = np.random.default_rng(0), model.inputs[0].shape[1:]
        self._images = rng.integers(0, 256, (MOST_STEPS, batch, *shape), np.uint8)
        self._labels = rng.integers(0, 10, (MOST_STEPS, batch), np.int32)
        self._seen = rng.integers(0, 256, (IMAGES, *shape), np.uint8)
        self.first = self.steps(1)
        self.predictions()

    def steps(self, count: int) -> float:
        """Seconds of so many steps in one call."""
        given = self._images[:count], self._labels[:count]
        return _seconds(lambda: self._step(*given).numpy())

    def predictions(self) -> float:
        """Seconds of the predictions."""
        return _seconds(lambda: self._predictor(self._seen))


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measured(name: str) -> dict[str, float]:
    """The figures of one kind of network, the best of all rounds."""
    shape, batch, make = NETWORKS[name]
    ways = {
        "loop": Way(make(shape), batch, MANY_RUNS + 1),
        "in turn": Way(make(shape), batch, MANY_RUNS),
    }
    with patch("xnas_tf.keras_tools.tracing.compiled", partial(tf.function, autograph=False)):
        ways["looked up"] = Way(make(shape), batch, MANY_RUNS)
    rounds = [
        {name: (way.steps(MOST_STEPS), way.predictions()) for name, way in ways.items()}
        for _ in range(ROUNDS)
    ]
    found = {}
    for key, way in ways.items():
        best = np.min([each[key] for each in rounds], axis=0) * 1000
        found |= {f"first step, s, {key}": way.first, f"step, ms, {key}": best[0] / MOST_STEPS}
        found[f"{IMAGES} predictions, ms, {key}"] = best[1]
    saved = found["step, ms, in turn"] - found["step, ms, loop"]
    later = found["first step, s, loop"] - found["first step, s, in turn"]
    found["even after steps"] = later * 1000 / saved if saved > 0 else float("nan")
    return {key: float(f"{value:.3g}") for key, value in found.items()}


def main() -> None:
    """Prints a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs=2, default=(1, 2))
    within, between = parser.parse_args().threads
    tf.config.threading.set_intra_op_parallelism_threads(within)
    tf.config.threading.set_inter_op_parallelism_threads(between)
    figures = {}
    for name in NETWORKS:
        figures[name] = measured(name)
        print(name, *(f"  {key}: {value}" for key, value in figures[name].items()), sep="\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    with kept_arithmetic():
        main()
