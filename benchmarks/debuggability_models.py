"""Training a cell with and without a planted bug, and looking at what it learned."""

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
"""Bugs, and the share of training and validation images that get a patch if their class has
one."""
METHODS = {"grad_cam": {}, "integrated_gradients": {"steps": 8}, "smooth_grad": {"samples": 16}}
"""Attribution methods and their options; fewer points than by default, to save time."""
PLAIN = {"images": 128, "estimator": "plain", "missing_classes": "ignore", "min_images": 1}
"""The paper's formula, the default when the experiment was made."""
INTROSPECTABILITY = {"attributions": PLAIN, "activations": {"sources": ["activations"], **PLAIN}}
"""The objective's options by measure; the sources of the first are the defaults."""
PROBE_OF = {"own": "own", "flipped": "wrong"}
"""Kinds of images that are explained, and the probe each comes from: with their own class's
patch, taken for it; and those that another class's patch flipped."""
EXPLAINED, LEAST, EXAMPLES = 100, 5, 3
"""Images of a kind that are explained, at most; fewest of which figures are taken; drawn."""
T = TypeVar("T")


@dataclass(frozen=True)
class Variant:
    """One way to plant the bug, with one seed.

    Attributes:
        name: ``position`` or ``brightness``.
        bug: Each class's patch.
        dataset: The data set with patches in its train and validation parts.
        probes: Images of the test part; see ``debuggability_patch.probes``.
    """

    name: str
    bug: Bug
    dataset: Dataset
    probes: dict[str, Probe]


@dataclass(frozen=True)
class Answers:
    """What one model says to a probe of N images.

    Attributes:
        probe: The images.
        before: Predicted classes without the patch, (N,).
        outputs: Probabilities with it, (N, classes).
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
        """Whether an image is taken for the class of its patch, (N,)."""
        return self.after == self.probe.targets

    @property
    def free(self) -> np.ndarray:
        """Whether it is taken for another class without the patch, (N,)."""
        return self.before != self.probe.targets

    @property
    def flipped(self) -> np.ndarray:
        """Whether the patch, and nothing else, made the model take it for its class, (N,)."""
        return self.free & self.taken


@dataclass(frozen=True)
class Seen:
    """What was seen of one model with one variant.

    Attributes:
        answers: By probe.
        rows: By kind, the images of the probe that were explained, (E,).
        maps: By kind and method, attributions of the patch's class, (E, H, W).
    """

    answers: dict[str, Answers]
    rows: dict[str, np.ndarray]
    maps: dict[tuple[str, str], np.ndarray]


class Bench:
    """The quickstart's data, search space and training, on one process."""

    def __init__(self) -> None:
        set_defaults()
        import xnas_tf.distributed
        from xnas_tf.config import load_config
        from xnas_tf.data import load_dataset
        from xnas_tf.spaces.search_space import SearchSpace

        self._config = load_config(overrides=["objectives=[error]"])
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
        """Trains a cell as a search would, and returns what ``look`` makes of the model."""
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
        """Each measure in ``INTROSPECTABILITY``, on the validation images of a data set; without
        any patch if None."""
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
    """Plants the bug in every way."""
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
    """What a model does with each probe, and its attributions.

    Args:
        model: The model.
        variant: The variant.
        rows: Images explained, by kind; those that count for this model if None.
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
    """Figures of a model with the bug beside those of its control, on the same images."""
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
    """Accuracy with and without patches, and the share of images that a wrong one flips, of
    those it can. Names get ``end``."""
    own, wrong = answers["own"], answers["wrong"]
    shares = {
        "reliance": wrong.flipped.sum() / wrong.free.sum(),
        "accuracy/clean": np.mean(wrong.before == wrong.probe.labels),
        "accuracy/own": np.mean(own.after == own.probe.labels),
        "accuracy/wrong": np.mean(wrong.after == wrong.probe.labels),
    }
    return {f"{name}{end}": float(share) for name, share in shares.items()}


def examples_of(seen: Seen, class_names: tuple[str, ...]) -> Explanation | None:
    """The first images that the patch flipped, explained; None where there are too few."""
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
