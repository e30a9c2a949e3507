"""One traced network for all cells against a network of each cell's own, on the quickstart's task.

python benchmarks/shared_graph.py [--cells 6] [--steps 20] [--channels 8] [--stack 1]

Seconds to trace each part, seconds a step, and how far the values are apart. The network itself is
in xnas_tf/evaluation/supernet/. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import keras_tuner  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402

from xnas_tf.attribution.grad_cam import GradCAM  # noqa: E402
from xnas_tf.attribution.integrated_gradients import IntegratedGradients  # noqa: E402
from xnas_tf.config.models import TrainingOptions  # noqa: E402
from xnas_tf.data import Dataset, load_dataset  # noqa: E402
from xnas_tf.distributed import SingleProcess  # noqa: E402
from xnas_tf.evaluation.supernet.network import Supernet, WeightBinding  # noqa: E402
from xnas_tf.keras_tools.preprocessing import to_model_input  # noqa: E402
from xnas_tf.keras_tools.tracing import kept_arithmetic  # noqa: E402
from xnas_tf.spaces.cells import EDGES, OPERATIONS, live_edges  # noqa: E402
from xnas_tf.spaces.nas_bench_201 import NASBench201  # noqa: E402
from xnas_tf.training.compilation import compile_model  # noqa: E402
from xnas_tf.training.predictor import Predictor, cross_entropy  # noqa: E402
from xnas_tf.training.step import Step  # noqa: E402

BATCH, EPOCHS = 48, 3
METHODS = {"grad_cam": GradCAM(), "integrated_gradients": IntegratedGradients(steps=8)}


def random_cell(rng: np.random.Generator) -> dict[str, str]:
    """A cell that is a network."""
    while True:
        cell = {edge: str(rng.choice(OPERATIONS)) for edge in EDGES}
        if live_edges(cell):
            return cell


class Way:
    """One model with what is traced for it.

    Attributes:
        spent: Seconds of the latest candidate by part.

    Args:
        model: The model.
        dataset: The images.
        epochs: How many it is trained, by which it is traced; many if None.
    """

    def __init__(self, model: keras.Model, dataset: Dataset, epochs: int | None = None) -> None:
        self.model = model
        self._dataset = dataset
        config = TrainingOptions()
        compile_model(model, config, 63)
        model.optimizer.build(model.trainable_variables)
        runs = epochs and epochs * (len(dataset.train) // BATCH)
        self.step = Step(model, dataset, BATCH, config.weight_decay, config, SingleProcess(), runs)
        self._predictor = Predictor(model, epochs and len(dataset.validation), epochs or 1)
        self.spent: dict[str, float] = {}

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        """What a call returns; its seconds are noted."""
        begin = time.process_time()
        found = call()
        self.spent[name] = time.process_time() - begin
        return found

    def run(self, steps: int) -> dict[str, Any]:
        """Trains, predicts and explains."""
        order = np.random.default_rng(0).permutation(len(self._dataset.train))
        images, labels = self._dataset.train.images[order], self._dataset.train.labels[order]

        def step(i: int) -> float:
            rows = slice(BATCH * i, BATCH * (i + 1))
            given = images[rows], labels[rows]
            return float(self.step(*given)[0])

        losses = [self.timed("first step", lambda: step(0))]
        losses += self.timed("steps", lambda: [step(i) for i in range(1, steps)])
        self.spent["a step"] = self.spent.pop("steps") / (steps - 1)
        seen = self._dataset.validation
        found: dict[str, Any] = {"loss": losses[-1]}
        chances = self.timed("predict", lambda: self._predictor(seen.images))
        found["val_loss"] = cross_entropy(chances, seen.labels) / len(chances)
        found["val_accuracy"] = np.mean(chances.argmax(1) == seen.labels)
        few, classes = to_model_input(seen.images[:128]), chances[:128].argmax(1)
        for name, method in METHODS.items():
            found[name] = self.timed(name, lambda m=method: m(self.model, few, classes))
        return found


def distance(a: Any, b: Any) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(a))), 1e-12))


def table(name: str, figures: dict[str, float]) -> None:
    """Prints a line."""
    print(f"{name:9}" + "  ".join(f"{k} {v:.2g}" for k, v in figures.items()), flush=True)


def main() -> None:
    """Prints a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--stack", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    dataset = load_dataset("mnist5k", seed=0)
    space = NASBench201(dataset.image_shape, dataset.classes, arguments.channels, arguments.stack)
    memory = psutil.Process().memory_info().rss / 2**20
    begin = time.process_time()
    network = Supernet(space)
    shared = Way(network.model, dataset)
    print(f"build S {time.process_time() - begin:.2f} s, {memory:.0f} MB before")
    figures: dict[str, float] = {}
    for number in range(arguments.cells):
        cell = random_cell(rng)
        hp = keras_tuner.HyperParameters()
        hp.values = dict(cell)
        # Keras' set_random_seed would make TensorFlow prepare the shared graphs anew.
        random.seed(number)
        begin = time.process_time()
        model = space.build(hp)
        build = time.process_time() - begin
        own = Way(model, dataset, EPOCHS)
        own.spent["build"] = build
        binding = WeightBinding(network, cell, model)
        shared.timed("load", binding.load)
        theirs = shared.run(arguments.steps)
        memory = psutil.Process().memory_info().rss / 2**20
        ours = own.run(arguments.steps)
        print(f"{space.genotype(cell)}  {memory:.0f} MB")
        print(f"  losses {theirs['loss']:.5f}, accuracy {theirs['val_accuracy']:.4f}")
        table("  shared", shared.spent)
        table("  own", own.spent)
        apart = {k: distance(ours[k], theirs[k]) for k in ours}
        table("  apart", apart)
        rows = ("shared", shared.spent), ("own", own.spent), ("apart", apart)
        figures |= {f"{of} {number + 1} {k}": v for of, row in rows for k, v in row.items()}
        del own, model, binding
        gc.collect()  # clear_session would make TensorFlow prepare the shared graphs anew
    print(json.dumps({name: float(f"{value:.3g}") for name, value in figures.items()}))


if __name__ == "__main__":
    with kept_arithmetic():
        main()
