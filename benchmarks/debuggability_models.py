"""Trains a cell with and without a planted bug, and examines what it learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from benchmarks.debuggability_patch import (
    Bug,
    Probe,
    brightness_bug,
    figures_of,
    plant_share,
    position_bug,
    probes,
)
from xnas_tf.utils.environment import set_defaults

if TYPE_CHECKING:
    import keras

    from xnas_tf.data import Dataset
    from xnas_tf.evaluation.evaluator import Result
    from xnas_tf.explanation import Explanation

VARIANTS = {"position": (position_bug, 0.8), "brightness": (brightness_bug, 0.9)}
"""Variants of the bug, and for each the share of training and validation images that get a patch if
their class has one."""
METHODS = {"grad_cam": {}, "integrated_gradients": {"steps": 8}, "smooth_grad": {"samples": 16}}
"""Attribution methods and their options, with fewer points than by default to save time."""
PLAIN = {"images": 128, "estimator": "plain", "missing_classes": "ignore", "min_images": 1}
"""The paper's formula, which was the default at the time of the experiment."""
INTROSPECTABILITY = {"attributions": PLAIN, "activations": {"sources": ["activations"], **PLAIN}}
"""The objective's options by measure; the first measure uses the default sources."""
PROBE_OF = {"own": "own", "flipped": "wrong"}
"""Kinds of images to explain, and the probe that each kind comes from: images with the patch of
their own class that are classified as this class, and images that another class's patch flipped."""
EXPLAINED, LEAST, EXAMPLES = 100, 5, 3
"""Number of images of each kind: the maximum to explain, the minimum to measure, and the number to
draw."""
T = TypeVar("T")


@dataclass(frozen=True)
class Variant:
    """One way to plant the bug, with one seed.

    Attributes:
        name: ``position`` or ``brightness``.
        bug: The patch of each class.
        dataset: The data set, with patches in its training and validation splits.
        probes: Images of the test split; see ``debuggability_patch.probes``.
    """

    name: str
    bug: Bug
    dataset: Dataset
    probes: dict[str, Probe]


@dataclass(frozen=True)
class Answers:
    """A model's predictions for a probe of N images.

    Attributes:
        probe: The images.
        before: Predicted classes without the patch, (N,).
        outputs: Probabilities with the patch, (N, classes).
    """

    probe: Probe
    before: np.ndarray
    outputs: np.ndarray

    @property
    def after(self) -> np.ndarray:
        """Predicted classes with the patch, (N,)."""
        return self.outputs.argmax(axis=1)

    @property
    def taken(self) -> np.ndarray:
        """Whether an image is classified as the class of its patch, (N,)."""
        return self.after == self.probe.targets

    @property
    def free(self) -> np.ndarray:
        """Whether it is classified as another class without the patch, (N,)."""
        return self.before != self.probe.targets

    @property
    def flipped(self) -> np.ndarray:
        """Whether only the patch made the model predict the class of the patch, (N,)."""
        return self.free & self.taken


@dataclass(frozen=True)
class Seen:
    """Observations of one model with one variant.

    Attributes:
        answers: The predictions, by probe.
        rows: Indices of the probe's images that were explained, (E,), by kind.
        maps: Attributions of the patch's class, (E, H, W), by kind and method.
    """

    answers: dict[str, Answers]
    rows: dict[str, np.ndarray]
    maps: dict[tuple[str, str], np.ndarray]


class Bench:
    """The quickstart's data, search space and training, with overrides, in one process."""

    def __init__(self, *overrides: str) -> None:
        set_defaults()
        import xnas_tf.distributed
        from xnas_tf.config import load_config
        from xnas_tf.data import load_dataset
        from xnas_tf.spaces.search_space import SearchSpace

        self._config = load_config(overrides=["objectives=[error]", *overrides])
        self._communicator = xnas_tf.distributed.start(self._config.distributed, True)
        self.dataset: Dataset = load_dataset(**self._config.dataset.model_dump())
        shape, classes = self.dataset.image_shape, self.dataset.classes
        self._space = SearchSpace(self._config.space.create(shape, classes), shape, classes)

    def train(
        self,
        dataset: Dataset,
        cell: dict[str, str],
        seed: int,
        look: Callable[[Result, keras.Model], T],
    ) -> T:
        """Train a cell as a search would, and return the result of ``look`` for the model."""
        from xnas_tf.candidate import Candidate
        from xnas_tf.evaluation.evaluator import Evaluator

        evaluator = Evaluator(self._config, dataset, self._space, self._communicator)
        found: list[T] = []
        outcome = evaluator.evaluate(
            Candidate(1, "", cell, seed=seed, epochs=self._config.training.epochs),
            lambda outcome, model: found.append(look(outcome, model)),
        )
        if outcome.state != "done":
            raise SystemExit(f"{cell} with seed {seed} {outcome.state}: {outcome.reason}")
        return found[0]

    def introspectability(
        self, model: keras.Model, dataset: Dataset | None = None
    ) -> dict[str, float]:
        """Compute each measure in ``INTROSPECTABILITY`` on the validation images of a data set, or
        without patches if the data set is None."""
        from xnas_tf.objectives.base import Subject
        from xnas_tf.objectives.introspectability import Introspectability
        from xnas_tf.training.predictor import Predictor

        part, names = (dataset or self.dataset).validation, self.dataset.class_names
        part = part.take(np.random.default_rng(0).permutation(len(part))[: PLAIN["images"]])
        outputs = Predictor(model)(part.images)
        subject = Subject(model, self._communicator, names, part.images, part.labels, outputs)
        return {
            measure: Introspectability(**options).score(subject).value
            for measure, options in INTROSPECTABILITY.items()
        }


def make_variants(dataset: Dataset, rng: np.random.Generator) -> list[Variant]:
    """Plant the bug in every way."""
    variants = []
    for name, (make, share) in VARIANTS.items():
        bug = make(dataset.image_shape[0], dataset.classes, rng)
        parts = {
            part: plant_share(getattr(dataset, part), bug, share, rng)
            for part in ("train", "validation")
        }
        tests = probes(dataset.test, bug, rng)
        variants.append(Variant(name, bug, replace(dataset, **parts), tests))
    return variants


def look_at(
    model: keras.Model, variant: Variant, rows: Mapping[str, np.ndarray] | None = None
) -> Seen:
    """Compute a model's predictions for each probe, and its attributions.

    Args:
        model: The model.
        variant: The variant.
        rows: Images to explain, by kind; if None, those that apply to this model.
    """
    from xnas_tf.attribution import ATTRIBUTIONS
    from xnas_tf.keras_tools.preprocessing import to_model_input
    from xnas_tf.training.predictor import Predictor

    predictor, answers, maps = Predictor(model), {}, {}
    for name, probe in variant.probes.items():
        before = predictor(probe.clean).argmax(axis=1)
        answers[name] = Answers(probe, before, predictor(probe.images))
    if rows is None:
        counting = {"own": answers["own"].taken, "flipped": answers["wrong"].flipped}
        rows = {kind: np.flatnonzero(those)[:EXPLAINED] for kind, those in counting.items()}
    for kind, chosen in rows.items():
        probe = variant.probes[PROBE_OF[kind]]
        inputs, targets = to_model_input(probe.images[chosen]), probe.targets[chosen]
        for method, options in METHODS.items():
            maps[kind, method] = ATTRIBUTIONS.get(method)(**options)(model, inputs, targets)
    return Seen(answers, dict(rows), maps)


def compared(variant: Variant, bugged: Seen, control: Seen) -> dict[str, float]:
    """Return measurements of a model with the bug and of its control on the same images."""
    found = {**behaviour(bugged.answers, ""), **behaviour(control.answers, "/control")}
    for (kind, method), maps in bugged.maps.items():
        rows = bugged.rows[kind]
        found[f"{kind}/images"] = len(rows)
        if len(rows) < LEAST:
            continue
        tiles = variant.bug.tiles[variant.probes[PROBE_OF[kind]].targets[rows]]
        others = figures_of(control.maps[kind, method], tiles)
        for figure, values in figures_of(maps, tiles).items():
            mine, other = float(values.mean()), float(others[figure].mean())
            key = f"{kind}/{method}/{figure}"
            found |= {key: mine, f"{key}/control": other, f"{key}/gain": mine - other}
    return found


def behaviour(answers: Mapping[str, Answers], end: str) -> dict[str, float]:
    """Return the accuracy with and without patches, and the share of images flipped by a wrong
    patch among those that it can flip. ``end`` is appended to the names."""
    own, wrong = answers["own"], answers["wrong"]
    shares = {
        "reliance": wrong.flipped.sum() / wrong.free.sum(),
        "accuracy/clean": np.mean(wrong.before == wrong.probe.labels),
        "accuracy/own": np.mean(own.after == own.probe.labels),
        "accuracy/wrong": np.mean(wrong.after == wrong.probe.labels),
    }
    return {f"{name}{end}": float(share) for name, share in shares.items()}


def examples_of(seen: Seen, class_names: tuple[str, ...]) -> Explanation | None:
    """Return the first images that the patch flipped, with attributions; None if too few."""
    from xnas_tf.attribution import ATTRIBUTIONS
    from xnas_tf.explanation import Explanation

    answers, rows = seen.answers["wrong"], seen.rows["flipped"][:EXAMPLES]
    if len(rows) < EXAMPLES:
        return None
    maps = {
        ATTRIBUTIONS.get(method)(**options): seen.maps["flipped", method][:EXAMPLES]
        for method, options in METHODS.items()
    }
    probe, outputs = answers.probe, answers.outputs[rows]
    targets, labels = probe.targets[rows], probe.labels[rows]
    return Explanation(probe.images[rows], outputs, targets, class_names, labels, maps)
