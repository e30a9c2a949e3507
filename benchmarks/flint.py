"""Compares a predictor with a FLINT interpreter with the same predictor alone, over seeds.

python benchmarks/flint.py [SEEDS [NPZ]]

For each seed, the paper's predictor for MNIST (two convolutions, pooling and a hidden layer, both
followed by dropout) is trained on mnist5k alone, and by design with an interpreter. The predictor
that was trained alone then gets a post-hoc interpreter. Each training has the same number of epochs
and the same learning rate. The settings are the published ones, with the learning rate fitted to
the number of images (``FlintOptions.fitted``). Results on the test split are means over the seeds;
the difference between f's accuracies is paired by seed and has a 95% interval (Student's t). NPZ is
an optional data file, such as a sample of CIFAR-10. In that case, the predictor is a small network
of three convolutions, whereas the paper uses a ResNet-18 and 50,000 images. The last line of the
output is JSON.
"""

from __future__ import annotations

import json
import sys
import time

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402

from xnas_tf.config.models import TrainingOptions  # noqa: E402
from xnas_tf.data import Dataset, load_dataset  # noqa: E402
from xnas_tf.data.batches import batching  # noqa: E402
from xnas_tf.distributed import SingleProcess  # noqa: E402
from xnas_tf.interpretation.flint import train_interpreter  # noqa: E402
from xnas_tf.interpretation.flint.options import settings_for  # noqa: E402
from xnas_tf.interpretation.flint.training import decaying_adam  # noqa: E402
from xnas_tf.training.predictor import Predictor  # noqa: E402
from xnas_tf.training.trainer import Trainer  # noqa: E402
from xnas_tf.utils.intervals import mean_interval  # noqa: E402

PUBLISHED = {
    "mnist": {"f": 98.9, "g": 98.3, "fidelity": 98.7, "cns": 1.24, "images": 60_000},
    "cifar10": {"f": 84.5, "g": 84.0, "fidelity": 93.2, "images": 50_000},
}
"""Published values in percent; conciseness, at τ = 5, is only known for MNIST."""


def predictor(data: Dataset, seed: int) -> keras.Model:
    """Build the network f with new weights."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    grey = data.image_shape[-1] == 1
    widths = ((16, 32),) if grey else ((16,), (32, 64))
    model = keras.Sequential([keras.Input(data.image_shape)])
    for block in widths:
        for width in block:
            model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Dropout(0.5 if grey else 0.25))
    for layer in (layers.Flatten(), layers.Dense(128, "relu"), layers.Dropout(0.5)):
        model.add(layer)
    model.add(layers.Dense(data.classes))
    return model


def trained_alone(data: Dataset, seed: int) -> keras.Model:
    """Train f without an interpreter, with the same steps on the same images in the same order."""
    model = predictor(data, seed)
    settings = settings_for(None, data.image_shape[-1])
    epochs, rate = settings.fitted(len(data.train), None, None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = epochs * batching(len(data.train), settings.batch)[1]
    model.compile(decaying_adam(rate, settings.rate, steps), loss, jit_compile=False)
    config = TrainingOptions(epochs=epochs, batch_size=settings.batch)
    trainer = Trainer(model, data, config, SingleProcess(), seed)
    for _ in range(epochs):
        trainer.run_epoch()
    return model


def measured(data: Dataset, seed: int) -> dict[str, dict]:
    """Return the measurements for one seed."""
    start = time.perf_counter()
    alone = trained_alone(data, seed)
    predicted = Predictor(alone)(data.test.images).argmax(axis=1)
    found = {"alone": {"accuracy": {"f": float((predicted == data.test.labels).mean())}}}
    for mode, model in (("by-design", predictor(data, seed)), ("posthoc", alone)):
        found[mode] = train_interpreter(model, data, mode, seed=seed).answers.as_dict()
    print(
        f"seed {seed}, {time.perf_counter() - start:.0f} s:",
        {mode: (each["accuracy"], each.get("fidelity")) for mode, each in found.items()},
        {mode: found[mode]["conciseness"]["5"] for mode in ("by-design", "posthoc")},
        file=sys.stderr,
    )
    return found


def summary(seeds: list[dict], mode: str) -> dict[str, object]:
    """Return means over the seeds."""
    each = [seed[mode] for seed in seeds]
    return {
        "f": 100 * np.mean([one["accuracy"]["f"] for one in each]),
        "g": 100 * np.mean([one["accuracy"]["g"] for one in each]),
        "fidelity": 100 * np.mean([one["fidelity"]["top1"] for one in each]),
        "fidelity_of_seeds": [100 * one["fidelity"]["top1"] for one in each],
        "fidelity_top5": 100 * np.mean([one["fidelity"]["top5"] for one in each]),
        "conciseness": {
            tau: np.mean([one["conciseness"][tau] for one in each])
            for tau in each[0]["conciseness"]
        },
        "unexplained": 100 * np.mean([one["unexplained"] for one in each]),
        "unused_attributes": np.mean([one["unused_attributes"] for one in each]),
    }


def difference(seeds: list[dict]) -> dict[str, object]:
    """Return f's accuracy by design minus its accuracy alone, in points, with a 95% interval."""
    points = np.array(
        [100 * (s["by-design"]["accuracy"]["f"] - s["alone"]["accuracy"]["f"]) for s in seeds]
    )
    found: dict[str, object] = {"mean": points.mean(), "of_seeds": points.tolist()}
    if interval := mean_interval(points):
        found["interval"] = interval[::2]
    return found


def main() -> None:
    """Print progress on stderr, and the results as the last line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    data = load_dataset(f"npz:{sys.argv[2]}" if len(sys.argv) > 2 else "mnist5k")
    published = PUBLISHED["mnist" if data.image_shape[-1] == 1 else "cifar10"]
    settings = settings_for(None, data.image_shape[-1])
    epochs, rate = settings.fitted(len(data.train), None, None)
    seeds = [measured(data, seed) for seed in range(count)]
    report = {
        "data": data.name.rpartition("/")[2],
        "seeds": count,
        "images": {"train": len(data.train), "test": len(data.test)},
        "epochs": epochs,
        "batch": settings.batch,
        "rate": rate,
        "alone_f": 100 * np.mean([seed["alone"]["accuracy"]["f"] for seed in seeds]),
        "difference_of_f": difference(seeds),
        "by_design": summary(seeds, "by-design"),
        "posthoc": summary(seeds, "posthoc"),
        "published": published,
    }
    print(json.dumps(rounded(report)))


def rounded(report: dict) -> dict:
    """Round to three decimals."""
    return json.loads(json.dumps(report), parse_float=lambda text: round(float(text), 3))


if __name__ == "__main__":
    main()
