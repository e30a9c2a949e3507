"""Measures a training step of the quickstart's network, with batch normalisation as composed by
Keras and as traced by xnas-tf, with and without oneDNN's kernels.

python benchmarks/training_step.py

Composed and fused steps are measured in turns within one process, and the processes with and
without oneDNN also take turns, so that the ratios hold on a noisy machine. The last line of the
output is JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from common import MIXED_CELL, cell_network, last_line

PROCESSES, ROUNDS, STEPS = 3, 3, 15


def measure() -> dict[str, float]:
    """Return the milliseconds of a forward and backward step on 48 images of 28x28 (C=8, N=1)."""
    import tensorflow as tf

    from xnas_tf.keras_tools.fused_layers import fused_layers

    model = cell_network(MIXED_CELL, (28, 28, 1), 8)
    images = tf.random.stateless_uniform((48, 28, 28, 1), seed=(0, 0))

    def backward(images):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(tf.math.log(model(images, training=True)[:, 0] + 1e-9))
        return tape.gradient(loss, model.trainable_variables)

    @tf.function
    def composed(images):
        return backward(images)

    @tf.function
    def fused(images):
        with fused_layers(model):
            return backward(images)

    steps = {"composed": composed, "fused": fused}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            step(images)
            begin = time.perf_counter()
            for _ in range(STEPS):
                gradients = step(images)
            gradients[0].numpy()
            times[name].append((time.perf_counter() - begin) / STEPS * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure in two processes, because oneDNN is chosen when TensorFlow is imported."""
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure()))
        return
    found: dict[str, list[dict[str, float]]] = {"0": [], "1": []}
    for _ in range(PROCESSES):
        for onednn, runs in found.items():
            line = last_line(__file__, "measure", TF_ENABLE_ONEDNN_OPTS=onednn)
            runs.append(json.loads(line))
    times = {
        (onednn, kind): statistics.median(run[kind] for run in runs)
        for onednn, runs in found.items()
        for kind in ("composed", "fused")
    }
    for (onednn, kind), value in times.items():
        print(f"oneDNN {'on' if onednn == '1' else 'off':3} {kind:8} {value:7.1f} ms")
    figures = {
        "speedup_fused": round(times["1", "composed"] / times["1", "fused"], 2),
        "speedup_onednn": round(times["0", "composed"] / times["1", "composed"], 2),
        "speedup_both": round(times["0", "composed"] / times["1", "fused"], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
