"""Learns the masks of all classes together, with the paper's loss and update.

arXiv 2003.13268: for each class, with K masked layers and the weights frozen,
(1/K) [CE + Σ MSE] + β (1/K) Σ mean(sigmoid(m)²), and m ← m − 0.1 g/‖g‖ for each layer.
As images of a batch do not affect each other, a class's masks are the same whether they are
learned alone or together with others, except for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf
from scipy.special import expit

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork, Masks
from xnas_tf.interpretation.nad.metrics import decided
from xnas_tf.interpretation.nad.original_outputs import OriginalOutputs

RATE = 0.1
"""Smallest length of a step of a layer's logits together (the paper's)."""
TRAVEL = 10.0
"""How far each logit of a layer can move in a whole training if all move equally. The paper's
thousands of steps allow that; with fewer steps each is longer."""
LEAST_OTHERS = 32
"""Smallest number of images of other classes that false alarms are measured on."""
START = 1.0
"""Initial logits: all channels are on, scaled by 0.73. With the paper's random logits, half of
the channels that have no gradient stay on."""
BETAS: tuple[float, ...] = tuple(np.geomspace(0.02, 50, 10).tolist())
"""The values that ``auto`` tries, in increasing order; the published ones are 0.02 to 5."""


@dataclass(frozen=True)
class MaskTrainingOptions:
    """How masks are learned.

    Attributes:
        beta: Weight of sparsity, or ``auto``. With ``auto`` it increases during a single training
            through ``stages``, and each class keeps the sparsest hard masks that are within
            ``tolerance`` and ``false_alarms`` and leave no layer empty. With a number, each class
            keeps its masks of the last epoch after which they are within ``false_alarms``. If
            there are no such masks, the class keeps all channels.
        epochs: Passes over a class's images.
        batch: Images of each class in a step.
        tolerance: Largest loss of accuracy on a class's own images with ``auto``.
        false_alarms: Largest share of other classes' images that a path may classify as its
            class; 1 sets no limit, as in the paper.
        seed: Seed of the order of the images.
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
        """The value of β in each stage of the training; masks are evaluated at its end."""
        if self.beta == "auto":
            return self.stages
        return (float(self.beta),) * (self.epochs if self.false_alarms < 1 else 1)


@dataclass(frozen=True)
class Images:
    """A rank's share of labelled images: its image i is image ``rank + i * size`` of all.

    Attributes:
        images: The share, (n, H, W, C), uint8.
        labels: The labels of all images, (N,).
        is_right: Whether the network without masks classifies each image correctly, of all, (N,).
    """

    images: np.ndarray | DiskImages
    labels: np.ndarray
    is_right: np.ndarray


@dataclass(frozen=True)
class Learned:
    """Masks of K classes.

    Attributes:
        logits: For each layer (K, channels).
        betas: The β that each class's masks were learned with, (K,); 0 if it kept all channels.
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
    """Return masks of 0 and 1: a channel is kept if the sigmoid of its logit exceeds one half."""
    return [(each > 0).astype(np.float32) for each in logits]


def learn(
    network: MaskedNetwork,
    train: Images,
    classes: np.ndarray,
    lesson: MaskTrainingOptions,
    held_out: Images | None = None,
    communicator: Communicator | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Learned:
    """Learn one mask for each class and layer, all in the same passes.

    Args:
        network: The network.
        train: The training images; each class needs at least one.
        classes: The K classes, (K,).
        lesson: How masks are learned.
        held_out: The images on which accuracy and false alarms of masks are measured; those of
            the training if None.
        communicator: Ranks that share the images.
        tell: Called with progress messages.
    """
    ranks = communicator or SingleProcess()
    plans = [_plan(train.labels, number, lesson) for number in classes]
    logits = [np.full((len(classes), tap.channels), START, np.float32) for tap in network.taps]
    selection = _MaskSelection(network, held_out or train, classes, lesson, logits, ranks)
    used = np.flatnonzero(np.isin(train.labels, classes))
    originals = OriginalOutputs(network, train.images, _share_of(used, ranks))
    counts = np.array([len(plan) for plan in plans])
    steps = counts.max()
    for step in range(steps):
        betas = np.array([_beta(step, count, lesson.betas) for count in counts])
        rows, batch = _batch(plans, step, train, classes, ranks)
        maps = originals.of(rows, batch[0])
        gradients = network.gradients(*batch, *maps, *map(tf.constant, logits))
        gradients = ranks.sum(*(each.numpy() for each in gradients))
        logits = [
            _updated(each, gradient, betas, counts, len(logits))
            for each, gradient in zip(logits, gradients, strict=True)
        ]
        finished = [u for u, count in enumerate(counts) if _ends(step, count, lesson.betas)]
        selection.update(logits, betas, finished)
        if (step + 1) * 10 // steps > step * 10 // steps:
            tell(f"masks of {len(classes)} classes: {step + 1} of {steps} steps")
    return selection.best


def _plan(labels: np.ndarray, number: int, lesson: MaskTrainingOptions) -> list[np.ndarray]:
    """Return the images of each step of a class; they depend on the seed and the class alone."""
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
    """Return a class's β in a step; 0 after its last step."""
    return betas[_stage(step, steps, len(betas))] if step < steps else 0.0


def _ends(step: int, steps: int, betas: tuple[float, ...]) -> bool:
    """Return whether this step is the last of a class with its present β."""
    stages = len(betas)
    return step < steps and _stage(step + 1, steps, stages) > _stage(step, steps, stages)


def _batch(
    plans: list[list[np.ndarray]],
    step: int,
    train: Images,
    classes: np.ndarray,
    ranks: Communicator,
) -> tuple[np.ndarray, list[tf.Tensor]]:
    """Return this rank's images of all classes in one step.

    Returns:
        The images' indices in the rank's share, and the first arguments of
        ``MaskedNetwork.gradients``.
    """
    rows, units, loss_weights, error_weights = [], [], [], []
    for unit, plan in enumerate(plans):
        chosen = plan[step] if step < len(plan) else np.zeros(0, int)
        right = train.is_right[chosen]
        own = chosen % ranks.size == ranks.rank
        rows.append(_share_of(chosen, ranks))
        units.append(np.full(own.sum(), unit))
        loss_weights.append(np.full(own.sum(), 1 / max(1, len(chosen))))
        error_weights.append(right[own] / max(1, right.sum()))
    indices = np.concatenate(rows)
    images = train.images[indices]
    # A rank without images in this step gets one of weight 0.
    padding = np.zeros(0 if len(images) else 1)
    all_units = np.concatenate([*units, padding]).astype(np.int32)
    return indices, [
        tf.constant(images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)),
        tf.constant(all_units),
        tf.constant(classes[all_units], tf.int32),
        tf.constant(np.concatenate([*loss_weights, padding]), tf.float32),
        tf.constant(np.concatenate([*error_weights, padding]), tf.float32),
    ]


def _share_of(images: np.ndarray, ranks: Communicator) -> np.ndarray:
    """Return the indices, in this rank's share, of those of the given images that are in it."""
    return images[images % ranks.size == ranks.rank] // ranks.size


def _updated(
    logits: np.ndarray, gradient: np.ndarray, betas: np.ndarray, steps: np.ndarray, layers: int
) -> np.ndarray:
    """Return logits after a step of fixed length for each unit; without a gradient it stays."""
    channels = logits.shape[1]
    soft = expit(logits)
    # The gradient of β/K mean(sigmoid(m)²).
    gradient = gradient + betas[:, None] / layers * 2 * soft**2 * (1 - soft) / channels
    norms = np.linalg.norm(gradient, axis=1, keepdims=True)
    lengths = np.maximum(RATE, TRAVEL * np.sqrt(channels) / steps)[:, None]
    return logits - (lengths * gradient / np.where(norms > 0, norms, 1)).astype(np.float32)


class _MaskSelection:
    """Keeps the best masks of each class.

    Of the masks within the limits these are the last ones, or with ``auto`` the sparsest. The
    limits are checked on all images of the class, and on a sample of others.
    """

    def __init__(
        self,
        network: MaskedNetwork,
        held_out: Images,
        classes: np.ndarray,
        lesson: MaskTrainingOptions,
        logits: Masks,
        ranks: Communicator,
    ) -> None:
        self._network = network
        self._ranks = ranks
        self._classes = classes
        self._lesson = lesson
        self._images = held_out.images
        right = [held_out.is_right[held_out.labels == c].sum() for c in classes]
        self._own = [np.flatnonzero(held_out.labels == c) for c in classes]
        self._others = [
            _sample_others(held_out.labels, c, max(LEAST_OTHERS, len(own)), lesson)
            for c, own in zip(classes, self._own, strict=True)
        ]
        self._min_own = np.array(right) - lesson.tolerance * np.array(list(map(len, self._own)))
        self._max_others = lesson.false_alarms * np.array(list(map(len, self._others)))
        self.best = Learned([each.copy() for each in logits], np.zeros(len(classes)))

    def update(self, logits: Masks, betas: np.ndarray, finished: list[int]) -> None:
        """Keep the masks of the units that have finished a β, if they are better."""
        if not finished:
            return
        is_better = self._is_better(logits, finished)
        better = [unit for unit in finished if is_better[unit]]
        for kept, new in zip(self.best.logits, logits, strict=True):
            kept[better] = new[better]
        self.best.betas[better] = betas[better]

    def _is_better(self, logits: Masks, finished: list[int]) -> np.ndarray:
        """Return whether to keep the masks of each unit, (K,)."""
        masks = hard(logits)
        better = np.isin(np.arange(len(self._classes)), finished)
        if self._lesson.beta == "auto":
            better &= _share(masks) <= _share(self.best.hard)
            better &= np.all([mask.any(axis=1) for mask in masks], axis=0)
            better &= self._count(self._own, masks, finished) >= self._min_own
        if self._lesson.false_alarms < 1:
            better &= self._count(self._others, masks, finished) <= self._max_others
        return better

    def _count(self, rows: list[np.ndarray], masks: Masks, units: list[int]) -> np.ndarray:
        """Count the images that each of some units classifies as its class, (K,)."""
        rows = [each if unit in units else each[:0] for unit, each in enumerate(rows)]
        return _count_positive(self._network, self._images, rows, self._classes, masks, self._ranks)


def false_alarms(
    network: MaskedNetwork, held_out: Images, classes: np.ndarray, masks: Masks, ranks: Communicator
) -> np.ndarray:
    """Compute the share of other classes' images that each path classifies as its class, (K,).

    Args:
        network: The network.
        held_out: This rank's share of images.
        classes: The K classes.
        masks: For each layer (K, channels).
        ranks: Ranks that share the images.
    """
    others = [np.flatnonzero(held_out.labels != number) for number in classes]
    positive = _count_positive(network, held_out.images, others, classes, masks, ranks)
    return positive / np.maximum(1, list(map(len, others)))


def _count_positive(
    network: MaskedNetwork,
    images: np.ndarray | DiskImages,
    rows: list[np.ndarray],
    classes: np.ndarray,
    masks: Masks,
    ranks: Communicator,
) -> np.ndarray:
    """Count the images that each unit classifies as its class, (K,).

    Args:
        network: The network.
        images: This rank's share of the images.
        rows: For each unit the indices of images among those of all ranks.
        classes: The K classes.
        masks: For each layer (K, channels).
        ranks: Ranks that share the images.
    """
    own = [_share_of(each, ranks) for each in rows]
    units = np.concatenate([np.full(len(each), unit) for unit, each in enumerate(own)])
    predicted = decided(network.predict(images[np.concatenate(own)], units, masks))
    counts = np.bincount(units[predicted == classes[units]], minlength=len(rows))
    (total,) = ranks.sum(counts.astype(np.float64))
    return total


def _sample_others(
    labels: np.ndarray, number: int, count: int, lesson: MaskTrainingOptions
) -> np.ndarray:
    """Sample images of other classes than ``number``, sorted."""
    others = np.flatnonzero(labels != number)
    rng = np.random.default_rng([lesson.seed, int(number)])
    return np.sort(rng.choice(others, min(count, len(others)), replace=False))


def _share(masks: Masks) -> np.ndarray:
    """Return the share of channels that each unit keeps, averaged over the layers."""
    return np.mean([mask.mean(axis=1) for mask in masks], axis=0)
