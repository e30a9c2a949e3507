"""Compares our introspectability by activations with storing and concatenating all activations.

python benchmarks/introspectability.py

The network is that of NAS-Bench-201 with nor_conv_3x3 on all edges (C=16, N=1), and the images are
all 5,000 of mnist5k. The straightforward way predicts all layers' outputs with Keras, concatenates
every image's activations in NumPy and averages them by class. It is measured on 2,000 images, which
already fill gigabytes, and its time is scaled up. Our way is the objective that a search measures,
including the standard error. It is also compared with a plain forward pass over the same images.
All ways are measured in turns, including tracing; peak memory is measured in separate processes.
The last line of the output is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from attribution import make_model  # noqa: E402
from common import forget_peak, last_line, peak_mb  # noqa: E402

from xnas_tf.attribution.activations import LAYERS  # noqa: E402
from xnas_tf.data import Split, load_dataset  # noqa: E402
from xnas_tf.distributed import SingleProcess  # noqa: E402
from xnas_tf.objectives.base import Subject  # noqa: E402
from xnas_tf.objectives.introspectability import Introspectability  # noqa: E402
from xnas_tf.spaces.cells import EDGES  # noqa: E402
from xnas_tf.training.predictor import Predictor  # noqa: E402

CLASSES, STORED, ROUNDS = 10, 2000, 3
CELL = dict.fromkeys(EDGES, "nor_conv_3x3")


def ours(model: keras.Model, images: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the objective as a search does, including its standard error."""
    objective = Introspectability(sources=["activations"], images=len(images))
    labels = np.zeros(len(images), np.int32)
    names = tuple(map(str, range(CLASSES)))
    subject = Subject(model, SingleProcess(), names, images, labels, probabilities)
    return objective.score(subject).value


def stored(model: keras.Model, images: np.ndarray, probabilities: np.ndarray) -> float:
    """Concatenate and keep every image's activations, and average them by class."""
    kept = [layer for layer in model.layers[:-1] if isinstance(layer, LAYERS)]
    view = keras.Model(model.inputs, [layer.output for layer in kept])
    layers = view.predict(images / np.float32(255), verbose=0)
    rows = [np.concatenate([layer[i].ravel() for layer in layers]) for i in range(len(images))]
    everything, groups = np.stack(rows), probabilities.argmax(axis=1)
    means = [everything[groups == c].mean(axis=0) for c in np.unique(groups)]
    pairs = [(a, b) for i, a in enumerate(means) for b in means[i + 1 :]]
    cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
    return float(np.mean([1 - cosine for cosine in cosines]))


def forward(model: keras.Model, images: np.ndarray, probabilities: np.ndarray) -> float:
    """Run a plain forward pass, which computes only predictions."""
    return float(Predictor(model)(images)[0, 0])


WAYS: dict[str, Callable[[keras.Model, np.ndarray, np.ndarray], float]] = {
    "ours": ours,
    "stored": stored,
    "forward": forward,
}


def prepare() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Return the network, the images, and the network's predictions for them."""
    images = np.concatenate([part.images for part in _parts()])
    model = make_model(CELL, 0, images[:200] / np.float32(255))
    return model, images, Predictor(model)(images)


def _parts() -> list[Split]:
    data = load_dataset("mnist5k")
    return [data.train, data.validation, data.test]


def measure_times() -> dict[str, float]:
    """Return the median seconds for all images, by way."""
    model, *everything = prepare()
    some = [each[:STORED] for each in everything]
    print(f"the same value: {ours(model, *some):.6f} ours, {stored(model, *some):.6f} stored")
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            chosen = some if name == "stored" else everything
            begin = time.perf_counter()
            way(model, *chosen)
            scale = len(everything[0]) / len(chosen[0])
            times[name].append((time.perf_counter() - begin) * scale)
    return {name: float(np.median(each)) for name, each in times.items()}


def measure_memory(name: str) -> float:
    """Return the peak memory in MB that one way needs in addition to the network and the images."""
    images = np.concatenate([p.images for p in _parts()])
    model = make_model(CELL, 0, images[:200] / np.float32(255))
    probabilities = np.eye(CLASSES, dtype=np.float32)[np.arange(len(images)) % CLASSES]
    before = forget_peak()
    count = STORED if name == "stored" else len(images)
    WAYS[name](model, images[:count], probabilities[:count])
    return peak_mb() - before


def main() -> None:
    """Print the table and the JSON line."""
    if sys.argv[1:2] == ["memory"]:
        print(measure_memory(sys.argv[2]))
        return
    times = measure_times()
    memory = {}
    for name in WAYS:
        memory[name] = float(last_line(__file__, "memory", name))
        extent = f" (memory: {STORED} images)" if name == "stored" else ""
        print(f"{name:10} {times[name]:8.2f} s {memory[name]:8.0f} MB{extent}")
    figures = {
        "speedup": round(times["stored"] / times["ours"], 2),
        "over_forward_pass": round(times["ours"] / times["forward"], 2),
        "extra_memory_mb": round(memory["ours"] - memory["forward"]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
