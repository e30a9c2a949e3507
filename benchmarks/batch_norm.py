"""One step of convolution, batch normalisation and ReLU, as Keras composes the middle one
and as xnas-tf traces it, with oneDNN's kernels and without.

python benchmarks/batch_norm.py

Each pair is measured in turns within one process, so that the ratio holds on a noisy
machine. Ends with one line of JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

ROUNDS, STEPS = 7, 20


def measure() -> dict[str, float]:
    """Milliseconds of a forward and backward step on 64 images of 28x28 with 8 channels."""
    import keras
    import tensorflow as tf

    from xnas_tf.evaluation.fused_batch_norm import fused_batch_norm

    inputs = keras.Input((28, 28, 8))
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, x)
    images = tf.random.stateless_normal((64, 28, 28, 8), seed=(0, 0))

    def backward(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    @tf.function
    def composed(images):
        return backward(images)

    @tf.function
    def fused(images):
        with fused_batch_norm(model):
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
    """Measures in two processes, since oneDNN is chosen when TensorFlow is imported."""
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure()))
        return
    found = {}
    for onednn in ("0", "1"):
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn, "TF_CPP_MIN_LOG_LEVEL": "2"}
        words = [sys.executable, __file__, "measure"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        found[onednn] = json.loads(done.stdout.splitlines()[-1])
        print(f"oneDNN {onednn}: " + ", ".join(f"{k} {v:.2f} ms" for k, v in found[onednn].items()))
    figures = {
        "speedup_fused": round(found["1"]["composed"] / found["1"]["fused"], 2),
        "speedup_onednn": round(found["0"]["composed"] / found["1"]["composed"], 2),
        "speedup_both": round(found["0"]["composed"] / found["1"]["fused"], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
