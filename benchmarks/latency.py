"""How repeatable the objective ``latency`` is on this machine.

python benchmarks/latency.py [MEASUREMENTS]

Measures each of three NAS-Bench-201 networks several times, with few repeats and with many,
and prints the standard deviation of the medians as a share of their mean. Ends with one line
of JSON.
"""

from __future__ import annotations

import json
import sys

import keras
import keras_tuner
import numpy as np

from xnas_tf.objectives.latency import time_batches
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201

NETWORKS = {
    "C=16 N=5 batch 1": (NASBench201((32, 32, 3), 10), "nor_conv_3x3", 1),
    "C=8 N=1 batch 1": (NASBench201((28, 28, 1), 10, 8, 1), "nor_conv_3x3", 1),
    "C=8 N=1 batch 64": (NASBench201((28, 28, 1), 10, 8, 1), "nor_conv_1x1", 64),
}
REPEATS = (20, 50, 100)


def build(hypermodel: NASBench201, operation: str) -> keras.Model:
    """The network that has one operation on all edges of its cells."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict.fromkeys(EDGES, operation)
    return hypermodel.build(hp)


def spread(model: keras.Model, batch_size: int, repeats: int, measurements: int) -> dict:
    """Mean in milliseconds an image, and relative standard deviation, of the medians."""
    medians = [np.median(time_batches(model, batch_size, repeats)) for _ in range(measurements)]
    mean = np.mean(medians)
    return {
        "milliseconds": round(1e3 * float(mean) / batch_size, 3),
        "spread": round(float(np.std(medians, ddof=1) / mean), 3),
    }


def main() -> None:
    measurements = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    figures = {}
    for name, (hypermodel, operation, batch_size) in NETWORKS.items():
        model = build(hypermodel, operation)
        for repeats in REPEATS:
            key = f"{name}, {repeats} repeats"
            figures[key] = spread(model, batch_size, repeats, measurements)
            print(f"{key}: {figures[key]}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
