"""Compares learning the masks of all classes together and one after the other, and their results.

python benchmarks/nad.py [IMAGES [EPOCHS]]

A NAS-Bench-201 network (C=16, N=1) and a small VGG are trained briefly on mnist5k. The masks of the
ten classes are learned together, and one class after the other: by ten calls that are traced
separately (``speedup``), with a single trace (``speedup_one_trace``), and without tracing
(``speedup_eager``; only a few steps, scaled up, without evaluating masks). This is done with the
settings of the search objective ``disentanglement``, which learns masks for each candidate, and at
a fixed β with those of ``disentangle``, which makes EPOCHS passes over IMAGES images of each class
(default 10 and 64). Each is done three times; the results are means, with the 95% interval of
``speedup``. Then ``disentangle`` runs with β chosen automatically, without a limit on false alarms
(``auto``) and with the default limit (``bounded``), and is evaluated on the test split. The last
line of the output is JSON; its first values are the lower ones of the two networks.
"""

from __future__ import annotations

import json
import sys
import time

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from common import CONVOLUTIONS, cell_network  # noqa: E402

from xnas_tf.data import Dataset, Split, load_dataset  # noqa: E402
from xnas_tf.interpretation.nad import Disentanglement, disentangle  # noqa: E402
from xnas_tf.interpretation.nad.disentanglement import facts  # noqa: E402
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork  # noqa: E402
from xnas_tf.interpretation.nad.mask_training import Images, MaskTrainingOptions, learn  # noqa: E402
from xnas_tf.objectives.disentanglement import DisentanglementObjective as Objective  # noqa: E402
from xnas_tf.utils.intervals import mean_interval  # noqa: E402

EAGER_STEPS, REPEATS = 4, 3
FIXED = 1.0
"""The β for masks that are learned but not evaluated."""
CLASSES = np.arange(10)


def small_vgg() -> keras.Model:
    """Build a network with three blocks of two convolutions, with 16 to 64 channels."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for block, channels in enumerate((16, 32, 64), start=1):
        for number in (1, 2):
            name = f"block{block}_conv{number}"
            model.add(layers.Conv2D(channels, 3, padding="same", activation="relu", name=name))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)):
        model.add(layer)
    return model


def trained(model: keras.Model, data: Dataset, optimizer, epochs: int) -> keras.Model:
    """Train a network briefly."""
    is_linear = not isinstance(model.layers[-1], keras.layers.Softmax)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=is_linear)
    model.compile(optimizer, loss)
    images = data.train.images / np.float32(255)
    model.fit(images, data.train.labels, batch_size=48, epochs=epochs, verbose=0)
    return model


def seconds(work) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def speedups(model: keras.Model, part: Split, lesson: MaskTrainingOptions) -> dict[str, float]:
    """Return how many times as long learning one class after the other takes as all together."""
    right = MaskedNetwork(model, part.images).predict(part.images).argmax(axis=1) == part.labels
    train = Images(part.images, part.labels, right)
    found = [_speedups(model, train, lesson) for _ in range(REPEATS)]
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    low, _, high = mean_interval([each["speedup"] for each in found])
    return {**means, "speedup_low": low, "speedup_high": high}


def _speedups(model: keras.Model, train: Images, lesson: MaskTrainingOptions) -> dict[str, float]:
    def learned(classes: np.ndarray, network: MaskedNetwork | None = None) -> None:
        learn(network or MaskedNetwork(model, train.images), train, classes, lesson)

    transaction = seconds(lambda: learned(CLASSES))
    each = seconds(lambda: [learned(CLASSES[c : c + 1]) for c in CLASSES])
    network = MaskedNetwork(model, train.images)
    assert network.gradients is not None  # traced before the clock starts
    together_traced = seconds(lambda: learned(CLASSES, network))
    each_traced = seconds(lambda: [learned(CLASSES[c : c + 1], network) for c in CLASSES])
    return {
        "seconds_together": transaction,
        "speedup": each / transaction,
        "speedup_one_trace": each_traced / together_traced,
        "speedup_eager": _eager_seconds(model, train, lesson) / transaction,
    }


def _eager_seconds(model: keras.Model, train: Images, lesson: MaskTrainingOptions) -> float:
    """Estimate the time of one class after the other without tracing, from a few steps."""
    images = np.bincount(train.labels, minlength=len(CLASSES))
    steps = lesson.epochs * int(np.ceil(images / lesson.batch).sum())
    own = np.flatnonzero(train.labels == 0)[: lesson.batch]
    one = Images(train.images[own], train.labels[own], train.is_right[own])
    how = MaskTrainingOptions(FIXED, EAGER_STEPS, lesson.batch, false_alarms=1)
    tf.config.run_functions_eagerly(True)
    try:
        network = MaskedNetwork(model, train.images)
        # Bypass the properties that trace these functions.
        vars(network).update(
            gradients=lambda *given: network._gradients(*map(tf.convert_to_tensor, given)),
            originals=lambda images: network._run(images)[1],
        )
        return steps * seconds(lambda: learn(network, one, CLASSES[:1], how)) / EAGER_STEPS
    finally:
        tf.config.run_functions_eagerly(False)


def as_in_a_search(data: Dataset) -> tuple[Split, MaskTrainingOptions]:
    """Return the images and the settings of the objective with its defaults."""
    objective = Objective()
    rng = np.random.default_rng(0)
    part = data.validation.take(rng.permutation(len(data.validation))[: objective.images])
    return part, objective.mask_options()


def summary(found: Disentanglement) -> dict[str, object]:
    """Return the main metrics, over all classes and by layer."""
    known = facts(found)
    changes = found.hard.accuracy - found.plain.accuracy
    return {
        "kept": known["kept"],
        "accuracy": float(found.plain.accuracy.mean()),
        "accuracy_change": [round(100 * float(each), 1) for each in changes],
        "worst_accuracy_change": 100 * float(changes.min()),
        "false_alarms_soft": float(found.soft.false_alarms.mean()),
        "false_alarms_hard": float(found.hard.false_alarms.mean()),
        "diversity": known["diversity"],
        "uncorrected_diversity": known["uncorrected_diversity"],
        "rank_correlation": known["rank_correlation"],
        "hit_rates": {
            layer["layer"]: layer["hit_rate"]["mean"] and round(layer["hit_rate"]["mean"], 3)
            for layer in known["layers"]
        },
        "mistakes": {key: value for key, value in known["mistakes"].items() if key != "images"},
    }


def main() -> None:
    """Print progress on stderr, and the results as the last line."""
    images, epochs = map(int, [*sys.argv[1:], *("64", "10")[len(sys.argv) - 1 :]])
    data = load_dataset("mnist5k")
    rows = [np.flatnonzero(data.train.labels == c)[:images] for c in CLASSES]
    part = data.train.take(np.sort(np.concatenate(rows)))
    searched, brief = as_in_a_search(data)
    keras.utils.set_random_seed(0)
    sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    figures: dict[str, dict] = {}
    for name, model in (
        ("cell", trained(cell_network(CONVOLUTIONS, (28, 28, 1), 16), data, sgd, 3)),
        ("vgg", trained(small_vgg(), data, keras.optimizers.Adam(1e-3), 4)),
    ):
        given = {"images": images, "epochs": epochs}
        figures[name] = {
            "search": speedups(model, searched, brief),
            "disentangle": speedups(
                model, part, MaskTrainingOptions(FIXED, epochs, false_alarms=1)
            ),
            "auto": summary(disentangle(model, data, false_alarms=1, **given)),
            "bounded": summary(disentangle(model, data, **given)),
        }
        for way, found in figures[name].items():
            print(name, way, found, file=sys.stderr)
    lowest = {
        name: min(network[way]["speedup"] for network in figures.values())
        for name, way in (("speedup", "disentangle"), ("speedup_search", "search"))
    }
    print(json.dumps({**lowest, "images": images, "epochs": epochs, **figures}))


if __name__ == "__main__":
    main()
