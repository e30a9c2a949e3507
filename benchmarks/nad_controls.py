"""Tests the findings of NAD (arXiv 2003.13268) against control masks of the same sizes.

python benchmarks/nad_controls.py ROWS.jsonl [SEEDS]

Trains four small networks (a chain, a residual network, a dense network, and one with NAS-Bench-201
cells) on digits and on mnist5k, with SEEDS seeds (default 5), and learns paths: ``free``, as in the
paper, and ``limited``, with at most 10% false alarms. In each case, three sets of masks with the
same number of channels for each class and layer are evaluated on the test split: ``learned``;
``random``; and ``magnitude``, the channels with the largest mean activation on the class's images.

Each network's results are appended to ROWS.jsonl, and networks that are already in it are not
trained again, so that an interrupted benchmark can be resumed. Prints tables with means and 95%
intervals over the seeds. The last line of the output contains all results as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402
from nad_networks import NETWORKS  # noqa: E402

from xnas_tf.data import Dataset, Split, load_dataset  # noqa: E402
from xnas_tf.interpretation.nad import evaluation as figures  # noqa: E402
from xnas_tf.interpretation.nad import metrics  # noqa: E402
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork, Masks  # noqa: E402
from xnas_tf.interpretation.nad.mask_training import (  # noqa: E402
    Images,
    MaskTrainingOptions,
    false_alarms,
    learn,
)
from xnas_tf.interpretation.nad.masks import Paths  # noqa: E402
from xnas_tf.utils.intervals import mean_interval  # noqa: E402

TRAINING = {"digits": 10, "mnist5k": 2}
"""Epochs."""
LEARNED, HELD_OUT = 16, 20
"""Numbers of images of each class for learning masks, for selecting them, and for evaluating
them."""
EPOCHS, BATCH, COLLAGES = 6, 4, 10
LIMITS = {"free": 1.0, "limited": 0.1}
MASKS = ("learned", "random", "magnitude")
CLASSES = np.arange(10)
Row = dict[str, object]


class Bench:
    """A network on a data set, which is trained repeatedly but traced only once."""

    def __init__(self, kind: str, data: Dataset) -> None:
        self._kind, self._data = kind, data
        self._model = NETWORKS[kind](data.image_shape)
        is_linear = not isinstance(self._model.layers[-1], keras.layers.Softmax)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=is_linear)
        optimizer = keras.optimizers.Adam(3e-3)
        optimizer.build(self._model.trainable_variables)
        self._model.compile(optimizer, loss)
        self._at_first = [variable.numpy() for variable in optimizer.variables]
        self._network = MaskedNetwork(self._model, data.train.images)

    def row(self, seed: int) -> Row:
        """Train from new weights, and evaluate the paths."""
        started = time.perf_counter()
        self._train(seed)
        data, network = self._data, self._network
        plain = network.predict(data.test.images)
        row: Row = {"network": self._kind, "data": data.name, "seed": seed}
        row["accuracy"] = float((plain.argmax(axis=1) == data.test.labels).mean())
        parts = [_first(data.train, LEARNED), _first(data.validation, HELD_OUT)]
        train, held_out = (
            Images(part.images, part.labels, network.predict(part.images).argmax(1) == part.labels)
            for part in parts
        )
        able = np.unique(train.labels[train.is_right])
        usual = _usual(network, train, able)
        for name, limit in LIMITS.items():
            lesson = MaskTrainingOptions("auto", EPOCHS, BATCH, false_alarms=limit, seed=seed)
            hard = learn(network, train, able, lesson, held_out).hard
            all_masks = (hard, _random(hard, seed), _strongest(hard, usual))
            row[name] = {
                which: _measured(network, data.test, plain, able, masks, seed)
                for which, masks in zip(MASKS, all_masks, strict=True)
            }
        row["seconds"] = time.perf_counter() - started
        return row

    def _train(self, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self._model.set_weights(NETWORKS[self._kind](self._data.image_shape).get_weights())
        for variable, value in zip(self._model.optimizer.variables, self._at_first, strict=True):
            variable.assign(value)
        train = self._data.train
        images = train.images / np.float32(255)
        epochs = TRAINING[self._data.name]
        self._model.fit(images, train.labels, batch_size=48, epochs=epochs, verbose=0)


def _first(part: Split, count: int) -> Split:
    rows = [np.flatnonzero(part.labels == c)[:count] for c in CLASSES]
    return part.select(np.sort(np.concatenate(rows)))


def _usual(network: MaskedNetwork, train: Images, able: np.ndarray) -> Masks:
    """Return each channel's mean activation on each class's images, (K, channels) per layer."""
    found = network.energies(train.images)
    return [np.stack([each[train.labels == c].mean(axis=0) for c in able]) for each in found]


def _strongest(hard: Masks, energies: Masks) -> Masks:
    """Return masks of the same sizes, with the channels of the largest mean activation."""
    return [
        ((-energy).argsort(axis=1, kind="stable").argsort(axis=1) < _sizes(mask)).astype(np.float32)
        for mask, energy in zip(hard, energies, strict=True)
    ]


def _random(hard: Masks, seed: int) -> Masks:
    """Return random masks of the same sizes."""
    rng = np.random.default_rng(seed)
    return [
        (rng.random(mask.shape).argsort(axis=1) < _sizes(mask)).astype(np.float32) for mask in hard
    ]


def _sizes(mask: np.ndarray) -> np.ndarray:
    return mask.sum(axis=1, keepdims=True)


def _measured(
    network: MaskedNetwork, test: Split, plain: np.ndarray, able: np.ndarray, hard: Masks, seed: int
) -> Row:
    """Return the metrics of one set of masks that docs/explanation/nad.md reports."""
    logits = [mask - 0.5 for mask in hard]
    paths = Paths([tap.name for tap in network.taps], logits, np.zeros(len(able)))
    shown = _first(test, HELD_OUT)
    given = Images(shown.images, shown.labels, shown.labels >= 0)
    alarms = false_alarms(network, given, able, hard)
    own = np.flatnonzero(np.isin(shown.labels, able))
    units = np.searchsorted(able, shown.labels[own])
    is_taken = metrics.decided(network.predict(shown.images[own], units, hard)) == shown.labels[own]
    predicted = plain.argmax(axis=1)
    correct = test.select(np.flatnonzero(predicted == test.labels))
    hits = figures.path_hits(network, correct, able, hard, seed, COLLAGES)
    rates = metrics.defined_mean(hits.by_class, 1)
    return {
        "kept": float(paths.share.mean()),
        "similarity": 1 - paths.diversity,
        "jaccard": 1 - paths.uncorrected_diversity,
        "accuracy": float(is_taken.mean()),
        "false_alarms": float(alarms.mean()),
        "hit_rates": [None if np.isnan(r) else float(r) for r in rates],
        **_mistakes(paths, test.labels, predicted, able),
    }


def _mistakes(paths: Paths, labels: np.ndarray, predicted: np.ndarray, able: np.ndarray) -> Row:
    """Return the number of mistakes, and the share in which the predicted class has a similar path.
    If several paths are equally similar, as when all are full, each counts with its probability."""
    wrong = (predicted != labels) & np.isin(labels, able) & np.isin(predicted, able)
    chances = []
    for label, taken in zip(
        *(np.searchsorted(able, each[wrong]) for each in (labels, predicted)), strict=True
    ):
        values = np.where(np.arange(len(able)) == label, -np.inf, paths.similarity[label])
        chances.append(metrics.nearest_share(values, taken))
    return {"mistakes": len(chances), "similar": float(np.mean(chances)) if chances else None}


def rows_of(path: Path, seeds: int) -> list[Row]:
    """Return all rows: those in the file, and the missing ones, which are appended to it."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = {(row["network"], row["data"], row["seed"]) for row in rows}
    benches: dict[tuple[str, str], Bench] = {}
    for seed, name, kind in product(range(seeds), TRAINING, NETWORKS):
        if (kind, name, seed) in known:
            continue
        if (kind, name) not in benches:
            benches[kind, name] = Bench(kind, load_dataset(name))
        rows.append(benches[kind, name].row(seed))
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(f"{name} {kind} {seed}: {rows[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
    return rows


def value(name: str) -> Callable[[Row], float | None]:
    """Return one metric of a set of masks."""
    return lambda found: found[name]


def clear(found: Row) -> float:
    """Measure how well paths distinguish their class from others: accuracy minus false alarms."""
    return found["accuracy"] - found["false_alarms"]


def rise(found: Row) -> float | None:
    """Return the rank correlation of depth and hit rate, from -1 to 1."""
    rates = np.array([np.nan if r is None else r for r in found["hit_rates"]])
    known = np.isfinite(rates)
    return metrics.rank_correlation(np.flatnonzero(known), rates[known])


def last(found: Row) -> float | None:
    """Return the hit rate of the last layer."""
    return found["hit_rates"][-1]


FIGURES: dict[str, Callable[[Row], float | None]] = {
    "kept": value("kept"),
    "jaccard": value("jaccard"),
    "similarity": value("similarity"),
    "accuracy": value("accuracy"),
    "false_alarms": value("false_alarms"),
    "clear": clear,
    "last_hit_rate": last,
    "rise": rise,
    "similar": value("similar"),
}


def cases(rows: list[Row]) -> Iterator[tuple[str, str, str, list[Row]]]:
    """Yield each limit, data set and network with its rows."""
    for limit, data, kind in product(LIMITS, TRAINING, NETWORKS):
        yield limit, data, kind, [r for r in rows if (r["data"], r["network"]) == (data, kind)]


def interval(values: list[float | None]) -> list[float] | None:
    """Return ``[low, mean, high]`` for the defined values."""
    return mean_interval([v for v in values if v is not None and np.isfinite(v)])


def peak_over_last(rows: list[Row], limit: str, which: str) -> list[float] | None:
    """Return by how much the best layer's hit rate exceeds that of the last layer. The best layer
    is chosen with the other seeds, so that noise does not choose it."""
    rates = np.array([r[limit][which]["hit_rates"] for r in rows], float)
    found = []
    for place in range(len(rates)):
        best = int(np.nanargmax(np.nanmean(np.delete(rates, place, axis=0), axis=0)))
        found.append(rates[place, best] - rates[place, -1])
    return interval(found)


def connection_effect(
    rows: list[Row], figure: Callable, limit: str, which: str, data: str
) -> float:
    """Return the p-value of an analysis of variance: do networks differ more than seeds?"""
    from scipy.stats import f_oneway

    groups = [
        [figure(r[limit][which]) for r in rows if (r["data"], r["network"]) == (data, kind)]
        for kind in NETWORKS
    ]
    return float(f_oneway(*groups).pvalue)


def summary(rows: list[Row]) -> Row:
    """Return all means with intervals, by network and data set over seeds, and over all rows."""
    found: Row = {"networks": len(rows)}
    for limit, data, kind, own in cases(rows):
        here: Row = {"network_accuracy": interval([r["accuracy"] for r in own])}
        for which in MASKS:
            here[which] = {
                name: interval([f(r[limit][which]) for r in own]) for name, f in FIGURES.items()
            }
            here[which]["peak_over_last"] = peak_over_last(own, limit, which)
        found[f"{limit}/{data}/{kind}"] = here
    for limit in LIMITS:
        found[limit] = {
            **{
                w: {n: interval([f(r[limit][w]) for r in rows]) for n, f in FIGURES.items()}
                for w in MASKS
            },
            **{
                f"{d}/{name}": gain
                for d in TRAINING
                for name, gain in _gains(rows, limit, d).items()
            },
            "connection": {
                f"{data}/{which}/{name}": connection_effect(rows, FIGURES[name], limit, which, data)
                for data, which, name in product(TRAINING, MASKS, ("similarity", "rise", "kept"))
            },
        }
    return found


def _gains(rows: list[Row], limit: str, data: str) -> Row:
    """Return how much higher the metrics of learned masks are than those of the controls, over the
    networks and seeds of a data set."""
    own = [row for row in rows if row["data"] == data]
    wanted = ("similarity", "clear", "last_hit_rate", "rise", "similar")
    return {
        f"{name}_beyond_{control}": _gain(own, limit, FIGURES[name], control)
        for name, control in product(wanted, MASKS[1:])
    }


def _gain(rows: list[Row], limit: str, figure: Callable, control: str) -> list[float] | None:
    pairs = [(figure(r[limit]["learned"]), figure(r[limit][control])) for r in rows]
    return interval([a - b for a, b in pairs if a is not None and b is not None])


def shown(found: list[float] | None) -> str:
    """Format a mean with its interval."""
    return "–" if found is None else f"{found[1]:.2f} ({found[0]:.2f} to {found[2]:.2f})"


def main() -> None:
    """Print a table for each limit and set of masks, and the results as the last line."""
    rows = rows_of(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
    found = summary(rows)
    for limit, which in product(LIMITS, MASKS):
        print(f"\n{limit}, {which}: " + " | ".join([*FIGURES, "peak_over_last"]))
        for data, kind in product(TRAINING, NETWORKS):
            figures_of = found[f"{limit}/{data}/{kind}"][which]
            print(f"{data} {kind} | " + " | ".join(map(shown, figures_of.values())))
        print("all | " + " | ".join(map(shown, found[limit][which].values())))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
