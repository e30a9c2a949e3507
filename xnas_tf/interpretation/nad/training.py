"""Learning the masks of all classes together, by the paper's loss and update.

arXiv 2003.13268: for each class, with K masked layers and the weights frozen,
(1/K) [CE + Σ MSE] + β (1/K) Σ mean(sigmoid(m)²), and m ← m − 0.1 g/‖g‖ for each layer.
Since no image changes what another one meets, a class's masks are the same whether it is
learned alone or together with others, but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf
from scipy.special import expit

from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork, Masks
from xnas_tf.interpretation.nad.metrics import decided
from xnas_tf.interpretation.nad.original_outputs import Originals

RATE = 0.1
"""Length of a step, of each layer's logits together, at least (the paper's)."""
TRAVEL = 10.0
"""How far the logits of a layer can go in a whole training if all move alike. The paper's
steps do that within its thousands of steps; where there are fewer, each is longer."""
LEAST_OTHERS = 32
"""Images of other classes, at least, that false alarms are judged on."""
START = 1.0
"""Logits at first: all channels are on, dimmed to 0.73. The paper's random ones leave half of
the channels on that nothing pulls at."""
BETAS = tuple(np.geomspace(0.02, 50, 10).tolist())
"""What ``auto`` tries, from weak to strong; the published ones are 0.02 to 5."""


@dataclass(frozen=True)
class Lesson:
    """How masks are learned.

    Attributes:
        beta: Weight of sparsity, or ``auto``: it rises during the training through ``stages``,
            and each class keeps the sparsest hard masks that cost it no more than ``tolerance``,
            give its class no more often than ``false_alarms`` and leave no layer empty. One
            training, instead of one for each β. With a number, each class keeps its masks of the
            last pass after which they meet ``false_alarms``. All channels, if no masks do.
        epochs: Passes over a class's images.
        batch: Images of each class in a step.
        tolerance: Share of a class's images that ``auto`` may give up.
        false_alarms: Share of other classes' images that a path may take for its class; the
            paper looks at the class's own images alone, which is 1.
        seed: Of the order of the images.
        stages: The values of β that ``auto`` tries, one after the other.
    """

    beta: float | Literal["auto"] = "auto"
    epochs: int = 20
    batch: int = 16
    tolerance: float = 0.02
    false_alarms: float = 0.1
    seed: int = 0
    stages: tuple[float, ...] = BETAS

    @property
    def betas(self) -> tuple[float, ...]:
        """The value of β in each part of the training; masks are judged at the end of each."""
        if self.beta == "auto":
            return self.stages
        return (float(self.beta),) * (self.epochs if self.false_alarms < 1 else 1)


@dataclass(frozen=True)
class Images:
    """This rank's share of labelled images: image i of rank r is number r + i * size of all.

    Attributes:
        images: The share, (n, H, W, C), uint8.
        labels: The labels of all, (N,).
        is_right: Whether the network without masks classifies each right, of all, (N,).
    """

    images: np.ndarray
    labels: np.ndarray
    is_right: np.ndarray


@dataclass(frozen=True)
class Learned:
    """Masks of K classes.

    Attributes:
        logits: For each layer (K, channels).
        betas: The β that they were learned with, (K,); 0: all channels stayed on.
    """

    logits: Masks
    betas: np.ndarray

    @property
    def soft(self) -> Masks:
        """Masks in (0, 1)."""
        return [expit(each).astype(np.float32) for each in self.logits]

    @property
    def hard(self) -> Masks:
        """Masks of 0 and 1."""
        return hard(self.logits)


def hard(logits: Masks) -> Masks:
    """A channel is kept where the sigmoid of its logit is more than one half."""
    return [(each > 0).astype(np.float32) for each in logits]


def learn(
    network: MaskedNetwork,
    train: Images,
    classes: np.ndarray,
    lesson: Lesson,
    held_out: Images | None = None,
    communicator: Communicator | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Learned:
    """Learn one mask for each class and layer, all in the same passes.

    Args:
        network: The network.
        train: What is learned from; each class needs at least one image.
        classes: The K classes, (K,).
        lesson: How.
        held_out: What accuracy and false alarms of masks are judged on; the images learned
            from if None.
        communicator: Ranks that share the images.
        tell: Is told how far it is.
    """
    ranks = communicator or SingleProcess()
    plans = [_plan(train.labels, number, lesson) for number in classes]
    logits = [np.full((len(classes), tap.channels), START, np.float32) for tap in network.taps]
    judge = _Judge(network, held_out or train, classes, lesson, logits, ranks)
    used = np.flatnonzero(np.isin(train.labels, classes))
    originals = Originals(network, train.images, _share_of(used, ranks))
    counts = np.array([len(plan) for plan in plans])
    steps = counts.max()
    for step in range(steps):
        betas = np.array([_beta(step, count, lesson.betas) for count in counts])
        rows, batch = _batch(plans, step, train, classes, ranks)
        maps = originals.of(rows, batch[0])
        gradients = network.gradients(*batch, *maps, *map(tf.constant, logits))
        gradients = ranks.sum(*(each.numpy() for each in gradients))
        logits = [
            _moved(each, gradient, betas, counts, len(logits))
            for each, gradient in zip(logits, gradients, strict=True)
        ]
        ended = [u for u, count in enumerate(counts) if _ends(step, count, lesson.betas)]
        judge.note(logits, betas, ended)
        if (step + 1) * 10 // steps > step * 10 // steps:
            tell(f"masks of {len(classes)} classes: {step + 1} of {steps} steps")
    return judge.found


def _plan(labels: np.ndarray, number: int, lesson: Lesson) -> list[np.ndarray]:
    """The images of each step of one class; the order depends on the seed and the class alone."""
    rng = np.random.default_rng([lesson.seed, int(number)])
    own = np.flatnonzero(labels == number)
    steps: list[np.ndarray] = []
    for _ in range(lesson.epochs):
        order = rng.permutation(own)
        steps += [order[i : i + lesson.batch] for i in range(0, len(order), lesson.batch)]
    return steps


def _stage(step: int, steps: int, stages: int) -> int:
    return step * stages // steps


def _beta(step: int, steps: int, betas: tuple[float, ...]) -> float:
    """A class's β in a step; 0 once all its images are through."""
    return betas[_stage(step, steps, len(betas))] if step < steps else 0.0


def _ends(step: int, steps: int, betas: tuple[float, ...]) -> bool:
    """Whether a class is through with a β after this step."""
    stages = len(betas)
    return step < steps and _stage(step + 1, steps, stages) > _stage(step, steps, stages)


def _batch(
    plans: list[list[np.ndarray]],
    step: int,
    train: Images,
    classes: np.ndarray,
    ranks: Communicator,
) -> tuple[np.ndarray, list[tf.Tensor]]:
    """This rank's images of all classes in one step: their rows among its own, and what
    ``MaskedNetwork.gradients`` takes first."""
    rows, units, losses, errors = [], [], [], []
    for unit, plan in enumerate(plans):
        chosen = plan[step] if step < len(plan) else np.zeros(0, int)
        right = train.is_right[chosen]
        mine = chosen % ranks.size == ranks.rank
        rows.append(_share_of(chosen, ranks))
        units.append(np.full(mine.sum(), unit))
        losses.append(np.full(mine.sum(), 1 / max(1, len(chosen))))
        errors.append(right[mine] / max(1, right.sum()))
    found = np.concatenate(rows)
    images = train.images[found]
    # A rank without images in this step shows one that counts nothing.
    nothing = [] if len(images) else [0]
    places = np.concatenate([*units, nothing]).astype(np.int32)
    return found, [
        tf.constant(images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)),
        tf.constant(places),
        tf.constant(classes[places], tf.int32),
        tf.constant(np.concatenate([*losses, nothing]), tf.float32),
        tf.constant(np.concatenate([*errors, nothing]), tf.float32),
    ]


def _share_of(images: np.ndarray, ranks: Communicator) -> np.ndarray:
    """The rows that a rank has those of some images in that are its own."""
    return images[images % ranks.size == ranks.rank] // ranks.size


def _moved(
    logits: np.ndarray, gradient: np.ndarray, betas: np.ndarray, steps: np.ndarray, layers: int
) -> np.ndarray:
    """One step of each unit, of fixed length; a unit without any gradient stays."""
    channels = logits.shape[1]
    soft = expit(logits)
    # The gradient of β/K mean(sigmoid(m)²).
    gradient = gradient + betas[:, None] / layers * 2 * soft**2 * (1 - soft) / channels
    norms = np.linalg.norm(gradient, axis=1, keepdims=True)
    lengths = np.maximum(RATE, TRAVEL * np.sqrt(channels) / steps)[:, None]
    return logits - (lengths * gradient / np.where(norms > 0, norms, 1)).astype(np.float32)


class _Judge:
    """Keeps, for each class, the masks that count: of those within the limits the last ones, or
    with ``auto`` the sparsest. Judged on all images of the class, and on others."""

    def __init__(self, network, held_out: Images, classes, lesson: Lesson, logits, ranks) -> None:
        self._network = network
        self._ranks = ranks
        self._classes = classes
        self._lesson = lesson
        self._images = held_out.images
        right = [held_out.is_right[held_out.labels == c].sum() for c in classes]
        self._own = [np.flatnonzero(held_out.labels == c) for c in classes]
        self._others = [
            _some_others(held_out.labels, c, max(LEAST_OTHERS, len(own)), lesson)
            for c, own in zip(classes, self._own, strict=True)
        ]
        self._least = np.array(right) - lesson.tolerance * np.array(list(map(len, self._own)))
        self._most = lesson.false_alarms * np.array(list(map(len, self._others)))
        self.found = Learned([each.copy() for each in logits], np.zeros(len(classes)))

    def note(self, logits: Masks, betas: np.ndarray, ended: list[int]) -> None:
        """Is told the masks of the units that are through with a β."""
        if not ended:
            return
        is_better = self._is_bearable(logits, ended)
        better = [unit for unit in ended if is_better[unit]]
        for kept, new in zip(self.found.logits, logits, strict=True):
            kept[better] = new[better]
        self.found.betas[better] = betas[better]

    def _is_bearable(self, logits: Masks, ended: list[int]) -> np.ndarray:
        """Whether the masks of each unit are within the limits, (K,); of units not ended False."""
        now, before = hard(logits), self.found.hard
        found = np.isin(np.arange(len(self._classes)), ended)
        if self._lesson.beta == "auto":
            found &= _share(now) <= _share(before)
            found &= np.all([mask.any(axis=1) for mask in now], axis=0)
            found &= self._count(self._own, now, ended) >= self._least
        if self._lesson.false_alarms < 1:
            found &= self._count(self._others, now, ended) <= self._most
        return found

    def _count(self, rows: list[np.ndarray], masks: Masks, units: list[int]) -> np.ndarray:
        """How many of each unit's images are taken for its class, (K,)."""
        asked = [each if unit in units else each[:0] for unit, each in enumerate(rows)]
        return _taken(self._network, self._images, asked, self._classes, masks, self._ranks)


def false_alarms(
    network: MaskedNetwork, held_out: Images, classes: np.ndarray, masks: Masks, ranks: Communicator
) -> np.ndarray:
    """The share of all other classes' images that each class's path takes for its class, (K,).

    Args:
        network: The network.
        held_out: This rank's share of images.
        classes: The K classes.
        masks: For each layer (K, channels).
        ranks: Ranks that share the images.
    """
    others = [np.flatnonzero(held_out.labels != number) for number in classes]
    taken = _taken(network, held_out.images, others, classes, masks, ranks)
    return taken / np.maximum(1, list(map(len, others)))


def _taken(
    network: MaskedNetwork,
    images: np.ndarray,
    rows: list[np.ndarray],
    classes: np.ndarray,
    masks: Masks,
    ranks: Communicator,
) -> np.ndarray:
    """How many images each unit takes for its class, (K,); ``rows``: which images of all ranks
    each is shown, ``images``: this rank's share."""
    mine = [_share_of(each, ranks) for each in rows]
    owners = np.concatenate([np.full(len(each), unit) for unit, each in enumerate(mine)])
    shown = images[np.concatenate(mine)]
    predicted = decided(network.predict(shown, owners, masks))
    counts = np.bincount(owners[predicted == classes[owners]], minlength=len(rows))
    (total,) = ranks.sum(counts.astype(np.float64))
    return total


def _some_others(labels: np.ndarray, number: int, count: int, lesson: Lesson) -> np.ndarray:
    others = np.flatnonzero(labels != number)
    rng = np.random.default_rng([lesson.seed, int(number)])
    return np.sort(rng.choice(others, min(count, len(others)), replace=False))


def _share(masks: Masks) -> np.ndarray:
    """The share of channels that each unit keeps, the mean over the layers."""
    return np.mean([mask.mean(axis=1) for mask in masks], axis=0)
