"""Training steps one in a call and several, predictions one batch at a time and two.

python benchmarks/calls.py [--threads 1 2]

On the quickstart's task, with the network of one cell and with the one that stands for all, in
turns within one process. Ends with one line of JSON: milliseconds, the best of all rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from xnas_tf.environment import set_defaults

set_defaults()

import keras_tuner  # noqa: E402
import tensorflow as tf  # noqa: E402
from shared_graph import BATCH, Way  # noqa: E402

from xnas_tf.data import Dataset, load_dataset  # noqa: E402
from xnas_tf.evaluation import prediction  # noqa: E402
from xnas_tf.evaluation.shared.network import SharedNetwork, Tenant  # noqa: E402
from xnas_tf.spaces.cells import parse_genotype  # noqa: E402
from xnas_tf.spaces.nas_bench_201 import NASBench201  # noqa: E402
from xnas_tf.tracing import kept_arithmetic  # noqa: E402

CELLS = {
    "light": "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
    "heavy": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|"
    "avg_pool_3x3~2|",
}
ROUNDS, STEPS = 5, 48
HEIGHTS = (1, 8, 16)


def steps(way: Way, dataset: Dataset, height: int) -> float:
    """Milliseconds a step, so many in a call."""
    images, labels = dataset.train.images, dataset.train.labels
    begin = time.perf_counter()
    for first in range(0, STEPS, height):
        rows = slice(first * BATCH, (first + height) * BATCH)
        shape = (height, BATCH)
        given = images[rows].reshape(*shape, *images.shape[1:]), labels[rows].reshape(shape)
        way.step(*map(tf.constant, given)).numpy()
    return (time.perf_counter() - begin) / STEPS * 1000


def predictions(predictor: prediction.Predictor, dataset: Dataset) -> float:
    """Milliseconds of 1,000 predictions."""
    begin = time.perf_counter()
    predictor(dataset.validation.images)
    return (time.perf_counter() - begin) * 1000


def ways_of(way: Way, dataset: Dataset) -> dict[str, Callable[[], float]]:
    """What is measured."""
    with patch.multiple(prediction, BATCH=250, BATCH_BYTES=2**24, AT_ONCE=1):
        in_turn = prediction.Predictor(way.model)
        in_turn(dataset.validation.images)  # traced so
    two = prediction.Predictor(way.model)
    calls = {f"step, {n} a call": lambda n=n: steps(way, dataset, n) for n in HEIGHTS}
    return {
        **calls,
        "predictions, 125 twice at once": lambda: predictions(two, dataset),
        "predictions, 250 at a time": lambda: _in_turn(in_turn, dataset),
    }


def _in_turn(predictor: prediction.Predictor, dataset: Dataset) -> float:
    with patch.multiple(prediction, BATCH=250, BATCH_BYTES=2**24):
        return predictions(predictor, dataset)


def main() -> None:
    """Prints a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs=2, default=(1, 2))
    within, between = parser.parse_args().threads
    tf.config.threading.set_intra_op_parallelism_threads(within)
    tf.config.threading.set_inter_op_parallelism_threads(between)
    dataset = load_dataset("mnist5k", seed=0)
    space = NASBench201(dataset.image_shape, dataset.classes, 8, 1)
    network = SharedNetwork(space)
    shared = Way(network.model, dataset)
    found: dict[str, float] = {}
    for name, genotype in CELLS.items():
        cell = parse_genotype(genotype)
        hp = keras_tuner.HyperParameters()
        hp.values = dict(cell)
        random.seed(0)
        model = space.build(hp)
        Tenant(network, cell, model).take()
        for network_name, way in (("shared", shared), ("own", Way(model, dataset))):
            ways = ways_of(way, dataset)
            for call in ways.values():
                call()
            rounds = [{what: call() for what, call in ways.items()} for _ in range(ROUNDS)]
            for what in ways:
                key = f"{name} {network_name} {what}"
                found[key] = round(min(each[what] for each in rounds), 1)
                print(f"{key:50}{found[key]:8.1f} ms", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    with kept_arithmetic():
        main()
