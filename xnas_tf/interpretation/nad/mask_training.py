"""Learns all classes' masks together, with the paper's loss and update rule.

With frozen weights and K masked layers, the loss of each class is (1/K) [CE + Σ MSE] + β (1/K) Σ
mean(sigmoid(m)²), and the update of each layer is m ← m − 0.1 g/‖g‖ (arXiv 2003.13268). Because
images in a batch do not affect each other, a class's masks are the same, up to rounding, whether
they are learned alone or together with others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from scipy.special import expit

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.interpretation.nad.gated_network import BATCH, MaskedNetwork, Masks
from xnas_tf.interpretation.nad.masks import Paths
from xnas_tf.interpretation.nad.metrics import decided
from xnas_tf.utils.progress import ShowStep

RATE = 0.1
"""Minimum length of a step over all logits of a layer, as in the paper."""
TRAVEL = 10.0
"""Distance that each logit of a layer can move during training if all of them move equally. The
paper's thousands of steps allow for this distance; if there are fewer steps, each one is longer."""
LEAST_OTHERS = 32
"""Minimum number of images of other classes on which false alarms are measured."""
START = 1.0
"""Initial value of the logits: all channels are on, scaled by 0.73. With the paper's random logits,
half of the channels without a gradient would stay on."""
BETAS: tuple[float, ...] = tuple(np.geomspace(0.02, 50, 10).tolist())
"""The values of β that ``auto`` tries, in increasing order; the published values are 0.02 to 5."""


@dataclass(frozen=True)
class MaskTrainingOptions:
    """Options for learning masks.

    β is the weight of sparsity in the loss. With ``auto``, it increases through ``stages`` as the
    masks are learned, and each class keeps the sparsest hard masks that are within ``tolerance``
    and ``false_alarms`` and leave no layer empty. With a number, each class keeps the masks from
    the last epoch that ended within ``false_alarms``. If no masks meet these conditions, the class
    keeps all channels.
    """

    beta: float | Literal["auto"] = "auto"
    epochs: int = 20  # number of passes over a class's images
    batch: int = 16  # number of images per class in each step
    tolerance: float = 0.02  # with ``auto``, the largest drop in accuracy on a class's own images
    # largest share of other classes' images that a path may classify as its own; 1 sets no limit
    false_alarms: float = 0.1
    seed: int = 0  # seed for the order of the images
    stages: tuple[float, ...] = BETAS

    def __post_init__(self) -> None:
        """Raise an ``InputError`` if an option that users can set is not allowed."""
        beta: Any = self.beta
        if beta != "auto" and not (isinstance(beta, Real) and 0 <= float(beta) < np.inf):
            raise InputError(f"`beta` {beta}: allowed: auto, or a number from 0")
        if self.epochs < 1:
            raise InputError(f"`epochs` {self.epochs}: allowed: 1 or more")
        for name in ("tolerance", "false_alarms"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= float(value) <= 1):
                raise InputError(f"`{name}` {value}: allowed: 0 to 1")

    @property
    def betas(self) -> tuple[float, ...]:
        """β in each stage; masks are evaluated at the end of each stage."""
        if self.beta == "auto":
            return self.stages
        return (float(self.beta),) * (self.epochs if self.false_alarms < 1 else 1)


@dataclass(frozen=True)
class Images:
    """A rank's share of N labelled images; its image i is image ``rank + i * size`` of all."""

    images: np.ndarray | DiskImages  # this rank's, (n, H, W, C), uint8
    labels: np.ndarray  # of all images, (N,)
    is_right: np.ndarray  # whether the unmasked network classifies them correctly, (N,)
    ranks: Communicator = field(default_factory=SingleProcess)

    def is_own(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each image at ``rows`` belongs to the share."""
        return rows % self.ranks.size == self.ranks.rank

    def own(self, rows: np.ndarray) -> np.ndarray:
        """Return the positions in the share of those images at ``rows`` that belong to it."""
        return rows[self.is_own(rows)] // self.ranks.size


def learn(
    network: MaskedNetwork,
    train: Images,
    classes: np.ndarray,
    mask_options: MaskTrainingOptions,
    held_out: Images | None = None,
    show_step: ShowStep = lambda *_: None,
) -> Paths:
    """Learn masks for all classes and layers in the same passes.

    Each of the K classes needs at least one training image. The masks' accuracy and false alarms
    are measured on held-out images or, if there are none, on the training images.

    Raises:
        InputError: If the gradients are not finite.
    """
    plans = [_plan(train.labels, number, mask_options) for number in classes]
    logits = [np.full((len(classes), tap.channels), START, np.float32) for tap in network.taps]
    paths = Paths([tap.name for tap in network.taps], logits, np.zeros(len(classes)))
    selection = _MaskSelection(network, held_out or train, classes, mask_options, paths)
    used = train.own(np.flatnonzero(np.isin(train.labels, classes)))
    kept = network.kept_originals(train.images, used)
    counts = np.array([len(plan) for plan in plans])
    steps = counts.max()
    # The stage of each class before each step and at the end; β is 0 after the class's last step.
    stages = np.arange(steps + 1)[:, None] * len(mask_options.betas) // counts
    stages = np.minimum(stages, len(mask_options.betas))
    betas = np.append(mask_options.betas, 0.0)[stages]
    for step in range(steps):
        rows, batch = _batch(plans, step, train, classes)
        places = np.searchsorted(used, rows)
        gradients = train.ranks.sum(*_gradients(network, batch, kept, places, logits))
        if not all(np.isfinite(each).all() for each in gradients):
            raise InputError("the gradients of the masks are not finite")
        logits = [
            _updated(each, gradient, betas[step] / len(logits), counts)
            for each, gradient in zip(logits, gradients, strict=True)
        ]
        is_finished = stages[step + 1] > stages[step]
        selection.update(Paths(paths.layers, logits, betas[step]), is_finished)
        show_step(step + 1, int(steps))
    return selection.best


def _plan(labels: np.ndarray, number: int, mask_options: MaskTrainingOptions) -> list[np.ndarray]:
    """Return the image indices for each step; they depend only on the seed and the class."""
    rng = np.random.default_rng([mask_options.seed, int(number)])
    own = np.flatnonzero(labels == number)
    ends = range(mask_options.batch, len(own), mask_options.batch)
    steps: list[np.ndarray] = []
    for _ in range(mask_options.epochs):
        steps += np.split(rng.permutation(own), ends)
    return steps


def _batch(
    plans: list[list[np.ndarray]], step: int, train: Images, classes: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the positions of a step's images in the rank's share, and arguments for the gradients.

    These are the first five arguments of ``MaskedNetwork.gradients``.
    """
    chosen = [plan[step] if step < len(plan) else np.zeros(0, int) for plan in plans]
    rows = np.concatenate(chosen)
    units = np.repeat(np.arange(len(plans)), _lengths(chosen))
    is_right = train.is_right[rows]
    loss_weights = 1 / np.bincount(units)[units]
    error_weights = is_right / np.maximum(1, np.bincount(units, is_right))[units]
    indices = train.own(rows)
    images = train.images[indices]
    missing = 0 if len(images) else 1  # a rank without images gets one with weight 0

    def own(values: np.ndarray) -> np.ndarray:
        return np.pad(values[train.is_own(rows)], (0, missing))

    return indices, [
        np.zeros((1, *images.shape[1:]), np.uint8) if missing else images,
        own(units).astype(np.int32),
        classes[own(units)].astype(np.int32),
        own(loss_weights).astype(np.float32),
        own(error_weights).astype(np.float32),
    ]


def _gradients(
    network: MaskedNetwork,
    batch: list[np.ndarray],
    kept: list[tf.Tensor],
    places: np.ndarray,
    logits: Masks,
) -> Masks:
    """Return the gradients of all images of a batch, a limited number of which are in memory.

    ``places`` are the positions of the images in ``kept``, see ``kept_originals``; there are none
    for the image of a rank without images.
    """
    total = [np.zeros_like(each) for each in logits]
    for start in range(0, len(batch[0]), BATCH):
        part = [each[start : start + BATCH] for each in batch]
        if kept and len(places):
            maps = [tf.gather(layer, places[start : start + BATCH]) for layer in kept]
        else:
            maps = network.originals(part[0])
        gradients = network.gradients(*part, *maps, *logits)
        total = [before + each.numpy() for before, each in zip(total, gradients, strict=True)]
    return total


def _updated(
    logits: np.ndarray, gradient: np.ndarray, weights: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Return the mask logits after a step of fixed length for each unit that has a gradient.

    The weights are β/K.
    """
    channels = logits.shape[1]
    soft = expit(logits)
    # The gradient of β/K mean(sigmoid(m)²).
    gradient = gradient + weights[:, None] * 2 * soft**2 * (1 - soft) / channels
    norms = np.linalg.norm(gradient, axis=1, keepdims=True)
    lengths = np.maximum(RATE, TRAVEL * np.sqrt(channels) / steps)[:, None]
    return logits - (lengths * gradient / np.where(norms > 0, norms, 1)).astype(np.float32)


class _MaskSelection:
    """Each class's best masks so far: the last or, with ``auto``, the sparsest within the limits.

    The limits are checked on all of the class's images and on a sample of other classes' images.
    """

    def __init__(
        self,
        network: MaskedNetwork,
        held_out: Images,
        classes: np.ndarray,
        mask_options: MaskTrainingOptions,
        initial: Paths,
    ) -> None:
        self._network, self._held_out = network, held_out
        self._classes, self._options = classes, mask_options
        self._own = [np.flatnonzero(held_out.labels == c) for c in classes]
        self._others = [
            _sample_others(held_out.labels, c, max(LEAST_OTHERS, len(own)), mask_options.seed)
            for c, own in zip(classes, self._own, strict=True)
        ]
        right = [held_out.is_right[own].sum() for own in self._own]
        self._min_own = np.array(right) - mask_options.tolerance * _lengths(self._own)
        self._max_others = mask_options.false_alarms * _lengths(self._others)
        self.best = initial

    def update(self, new: Paths, finished: np.ndarray) -> None:
        """Keep the best masks so far of the units, (K,), that have just finished a stage."""
        if not finished.any():
            return
        better, masks = finished.copy(), new.hard
        if self._options.beta == "auto":
            better &= new.share.mean(axis=0) <= self.best.share.mean(axis=0)
            better &= np.all([mask.any(axis=1) for mask in masks], axis=0)
            better &= self._count(self._own, masks, finished) >= self._min_own
        if self._options.false_alarms < 1:
            better &= self._count(self._others, masks, finished) <= self._max_others
        both = zip(new.logits, self.best.logits, strict=True)
        logits = [np.where(better[:, None], each, old) for each, old in both]
        self.best = Paths(new.layers, logits, np.where(better, new.betas, self.best.betas))

    def _count(self, rows: list[np.ndarray], masks: Masks, finished: np.ndarray) -> np.ndarray:
        """Count the images that each finished unit classifies as its own class, (K,)."""
        rows = [each if is_in else each[:0] for each, is_in in zip(rows, finished, strict=True)]
        return _count_positive(self._network, self._held_out, self._classes, masks, rows)


def false_alarms(
    network: MaskedNetwork, held_out: Images, classes: np.ndarray, masks: Masks
) -> np.ndarray:
    """Compute the share of other classes' images that each path assigns to its class, (K,)."""
    others = [np.flatnonzero(held_out.labels != number) for number in classes]
    positive = _count_positive(network, held_out, classes, masks, others)
    return positive / np.maximum(1, _lengths(others))


def _count_positive(
    network: MaskedNetwork,
    held_out: Images,
    classes: np.ndarray,
    masks: Masks,
    rows: list[np.ndarray],
) -> np.ndarray:
    """Count the images at each unit's ``rows`` that the unit classifies as its own class, (K,)."""
    own = [held_out.own(each) for each in rows]
    units = np.repeat(np.arange(len(rows)), _lengths(own))
    predicted = decided(network.predict(held_out.images[np.concatenate(own)], units, masks))
    counts = np.bincount(units[predicted == classes[units]], minlength=len(rows))
    (total,) = held_out.ranks.sum(counts.astype(np.float64))
    return total


def _sample_others(labels: np.ndarray, number: int, count: int, seed: int) -> np.ndarray:
    """Sample images of classes other than ``number``, and return their sorted indices."""
    others = np.flatnonzero(labels != number)
    rng = np.random.default_rng([seed, int(number)])
    return np.sort(rng.choice(others, min(count, len(others)), replace=False))


def _lengths(rows: list[np.ndarray]) -> np.ndarray:
    return np.array([len(each) for each in rows])
