"""Compares our attributions of a network's predictions with plain tf-explain.

python benchmarks/attribution.py

The predictions of five different NAS-Bench-201 networks (C=16, N=1) for 1,000 MNIST images of
various predicted classes are explained, one network after the other. Within one process, our
methods and tf-explain take turns, and the time for tracing a network is included. tf-explain is
used class by class through its static methods, and image by image through ``explain`` on the first
20 images, with its time scaled up. Peak memory is measured in a separate process for each way, and
memory growth in a process that explains 50 networks. The last line of the output is JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from common import cell_network, forget_peak, last_line, peak_mb, resident_mb  # noqa: E402
from tf_explain.core.grad_cam import GradCAM as TheirGradCAM  # noqa: E402
from tf_explain.core.integrated_gradients import (  # noqa: E402
    IntegratedGradients as TheirIntegratedGradients,
)

from xnas_tf.attribution.grad_cam import GradCAM  # noqa: E402
from xnas_tf.attribution.integrated_gradients import IntegratedGradients  # noqa: E402
from xnas_tf.data import load_dataset  # noqa: E402
from xnas_tf.spaces.cells import EDGES, OPERATIONS  # noqa: E402

MODELS, IMAGES, STEPS, SINGLE, GROWTH = 5, 1000, 10, 20, 50
LAYER = "final_relu"
Way = Callable[[keras.Model, np.ndarray, np.ndarray], object]


def random_cell(seed: int) -> dict[str, str]:
    """Draw a cell in which every edge has an operation."""
    rng = np.random.default_rng(seed)
    return {edge: str(rng.choice(OPERATIONS[1:])) for edge in EDGES}


def make_model(cell: dict[str, str], seed: int, images: np.ndarray) -> keras.Model:
    """Create an untrained network with a classifier that predicts all classes."""
    keras.utils.set_random_seed(seed)
    model = cell_network(cell, (28, 28, 1), 16)
    classifier = model.get_layer("logits")
    kernel, _ = classifier.get_weights()
    features = keras.Model(model.input, classifier.input)(images[:200]).numpy()
    scale = 10 / np.std(features @ kernel)
    classifier.set_weights([scale * kernel, -scale * (features @ kernel).mean(axis=0)])
    return model


def grad_cam_by_class(model: keras.Model, images: np.ndarray, predicted: np.ndarray) -> None:
    """Compute Grad-CAM with tf-explain's static methods, one class at a time."""
    for number in np.unique(predicted):
        chosen = images[predicted == number]
        found = TheirGradCAM.get_gradients_and_filters(model, chosen, LAYER, number, False)
        TheirGradCAM.generate_ponderated_output(*found)


def grad_cam_by_image(model: keras.Model, images: np.ndarray, predicted: np.ndarray) -> None:
    """Compute Grad-CAM with tf-explain's ``explain``, one image at a time."""
    for image, number in zip(images[:SINGLE], predicted, strict=False):
        TheirGradCAM().explain((image[None], None), model, number, LAYER, use_guided_grads=False)


def gradients_by_class(model: keras.Model, images: np.ndarray, predicted: np.ndarray) -> None:
    """Compute integrated gradients with tf-explain's static methods, one class at a time."""
    for number in np.unique(predicted):
        path = TheirIntegratedGradients.generate_interpolations(images[predicted == number], STEPS)
        TheirIntegratedGradients.get_integrated_gradients(path, model, int(number), STEPS)


def gradients_by_image(model: keras.Model, images: np.ndarray, predicted: np.ndarray) -> None:
    """Compute integrated gradients with tf-explain's ``explain``, one image at a time."""
    for image, number in zip(images[:SINGLE], predicted, strict=False):
        TheirIntegratedGradients().explain((image[None], None), model, int(number), STEPS)


WAYS: dict[str, Way] = {
    "Grad-CAM, ours": lambda *given: GradCAM()(*given),
    "Grad-CAM, by class": grad_cam_by_class,
    "Grad-CAM, by image": grad_cam_by_image,
    "integrated gradients, ours": lambda *given: IntegratedGradients(steps=STEPS)(*given),
    "integrated gradients, by class": gradients_by_class,
    "integrated gradients, by image": gradients_by_image,
}


def pass_seconds(model: keras.Model, images: np.ndarray) -> float:
    """Return the median seconds of 3 traced forward and backward passes to the images."""

    @tf.function(input_signature=[tf.TensorSpec((None, 28, 28, 1))])
    def gradient(batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            highest = tf.reduce_max(model(batch, training=False), axis=1)
        return tape.gradient(highest, batch)

    gradient(images[:64])
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        for start in range(0, len(images), 64):
            gradient(tf.constant(images[start : start + 64])).numpy()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def prepare(seed: int) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Return a network, the images, and the classes that it predicts for them."""
    images = load_dataset("mnist5k").train.images[:IMAGES] / np.float32(255)
    model = make_model(random_cell(seed), seed, images)
    return model, images, np.argmax(model.predict(images, verbose=0, batch_size=100), axis=1)


def measure_times() -> tuple[dict[str, float], float]:
    """Return the mean seconds per network for each way, and for a forward and backward pass."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    passes = []
    for seed in range(MODELS):
        model, images, predicted = prepare(seed)
        classes = len(np.unique(predicted))
        print(f"network {seed + 1} predicts {classes} classes", file=sys.stderr)
        passes.append(pass_seconds(model, images))
        for name, way in WAYS.items():
            begin = time.perf_counter()
            way(model, images, predicted)
            scale = IMAGES / SINGLE if name.endswith("by image") else 1
            times[name].append((time.perf_counter() - begin) * scale)
        keras.backend.clear_session()
    return {name: float(np.mean(each)) for name, each in times.items()}, float(np.mean(passes))


def measure_memory(name: str) -> float:
    """Return the peak memory in MB that explaining five networks in one way adds."""
    before = added = 0.0
    for seed in range(MODELS):
        model, images, predicted = prepare(seed)
        start = forget_peak()
        before = before or start
        WAYS[name](model, images, predicted)
        added = max(added, peak_mb() - before)
        keras.backend.clear_session()
    return added


def measure_growth() -> float:
    """Return by how many MB memory grows from the 10th to the 50th network explained."""
    readings = []
    for seed in range(GROWTH):
        model, images, _ = prepare(seed)
        for method in (GradCAM(), IntegratedGradients(steps=STEPS)):
            method(model, images[:64])
        del model
        keras.backend.clear_session()
        gc.collect()
        readings.append(resident_mb())
    return readings[-1] - readings[9]


def main() -> None:
    """Measure everything, and print the tables and the JSON line."""
    if sys.argv[1:2] == ["memory"]:
        print(measure_memory(sys.argv[2]))
        return
    if sys.argv[1:] == ["growth"]:
        print(measure_growth())
        return
    times, one_pass = measure_times()
    memory = {name: float(last_line(__file__, "memory", name)) for name in WAYS}
    print(f"Seconds per network for {IMAGES} images, and peak memory added by {MODELS} networks")
    for name, seconds in times.items():
        print(f"{name:32} {seconds:8.2f} s {memory[name]:7.0f} MB")
    print(f"{'one forward and backward pass':32} {one_pass:8.2f} s")
    figures = {}
    for name, method in (
        ("grad_cam", "Grad-CAM"),
        ("integrated_gradients", "integrated gradients"),
    ):
        ours = times[f"{method}, ours"]
        figures[f"speedup_{name}"] = times[f"{method}, by class"] / ours
        figures[f"speedup_{name}_per_image"] = times[f"{method}, by image"] / ours
    figures |= {
        "integrated_gradients_over_limit": ours / (STEPS * one_pass),
        "memory_growth_mb": float(last_line(__file__, "growth")),
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
