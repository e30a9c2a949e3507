"""Measures how repeatable the objective ``latency`` is on this machine.

python benchmarks/latency.py [MEASUREMENTS]

Measures each of three NAS-Bench-201 networks several times, with few and with many repeats, and
prints the standard deviation of the medians as a share of their mean. The last line of the output
is JSON.
"""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
from common import cell_network

from xnas_tf.objectives.latency import time_batches
from xnas_tf.spaces.cells import EDGES

NETWORKS = {
    "C=16 N=5 batch 1": ("nor_conv_3x3", (32, 32, 3), 16, 5, 1),
    "C=8 N=1 batch 1": ("nor_conv_3x3", (28, 28, 1), 8, 1, 1),
    "C=8 N=1 batch 64": ("nor_conv_1x1", (28, 28, 1), 8, 1, 64),
}
"""The operation on all edges, the image shape, C, N and the batch size."""
REPEATS = (20, 50, 100)


def spread(model: keras.Model, batch_size: int, repeats: int, measurements: int) -> dict:
    """Return the mean of the medians in milliseconds per image, and its relative deviation."""
    medians = [np.median(time_batches(model, batch_size, repeats)) for _ in range(measurements)]
    mean = np.mean(medians)
    return {
        "milliseconds": round(1e3 * float(mean) / batch_size, 3),
        "spread": round(float(np.std(medians, ddof=1) / mean), 3),
    }


def main() -> None:
    measurements = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    figures = {}
    for name, (operation, *size, batch_size) in NETWORKS.items():
        model = cell_network(dict.fromkeys(EDGES, operation), *size)
        for repeats in REPEATS:
            key = f"{name}, {repeats} repeats"
            figures[key] = spread(model, batch_size, repeats, measurements)
            print(f"{key}: {figures[key]}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
