"""Repair: how few channels must be removed from a network to undo a planted bug."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.objectives.base import ObjectiveValue, Subject
from xnas_tf.objectives.planted_bug import BugObjective

if TYPE_CHECKING:
    import keras

    from xnas_tf.data.watermark import Bug

RANDOM_ORDERS = 20
"""Number of random orders of the channels whose mean is the chance level."""


class Repair(BugObjective):
    """Number of channels whose removal undoes a planted bug; lower is better.

    Channels of the last feature map are set to 0, one more in each step. Each step removes the
    channel that most reduces the sum of two means: the probability of the bug's class for images
    with the watermark, and the probability of wrong classes for images without it. The bug counts
    as undone once two conditions hold. First, the share of other classes' images that are predicted
    as the bug's class is at most `tolerance` higher with the watermark than without it. Second, the
    accuracy without the watermark has fallen by at most `tolerance`. The value is 0 if the network
    never learned the bug, and `most` if removing fewer than `most` channels does not undo it. These
    metrics are also recorded: the number of channels needed if they are removed in random order
    (`chance`); the share of images predicted as the bug's class with the watermark, before
    (`learned`) and after the removal (`remaining`), and without it (`base`); the loss of accuracy
    (`accuracy_loss`); and, if the network had learned the bug, whether it is undone (`repaired`).
    """

    lowest: ClassVar[float] = 0.0
    name: Literal["repair"] = "repair"
    images: int = Field(128, ge=2, description="maximum number of validation images")
    most: int = Field(
        16,
        ge=1,
        description="value of a network that is not repaired by removing fewer channels than this",
    )
    tolerance: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="largest share of images that may still follow the watermark, and largest "
        "loss of accuracy",
    )
    seed: int = Field(0, ge=0, description="seed of the random orders of the channels")

    def check_model(self, model: keras.Model) -> None:
        """See ``Objective.check_model``."""
        from xnas_tf.interpretation.split_network import check_splittable

        check_splittable(model)

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; counts and probabilities are summed over the ranks."""
        self.check_model(subject.model)  # also for recorded values, which are not checked before
        removal = _Removal(subject.first(self.images), self._bug(subject))
        (before,) = removal.effects([()])
        is_undone = partial(self._is_undone, before)
        number, after, chance = 0.0, before, 0.0
        repaired: dict[str, float] = {}  # unknown without a bug to undo
        if not is_undone(before):
            removed, after = self._greedy(removal, is_undone, before)
            number = float(removed if is_undone(after) else self.most)
            repaired = {"repaired": float(is_undone(after))}
            chance = self._random(removal, is_undone)
        metrics = {
            "chance": chance,
            "learned": before.attack,
            "base": before.base,
            "remaining": after.attack,
            "accuracy_loss": before.accuracy - after.accuracy,
            **repaired,
        }
        return ObjectiveValue(number, {f"{self.name}/{name}": v for name, v in metrics.items()})

    def _is_undone(self, before: _Effect, after: _Effect) -> bool:
        follows = after.attack > before.base + self.tolerance
        return not follows and after.accuracy >= before.accuracy - self.tolerance

    def _greedy(
        self, removal: _Removal, is_undone: Condition, effect: _Effect
    ) -> tuple[int, _Effect]:
        """Repeatedly remove the best channel; return the number of channels and the last effect."""
        removed: tuple[int, ...] = ()
        while len(removed) < self._limit(removal) and not is_undone(effect):
            options = [(*removed, c) for c in range(removal.channels) if c not in removed]
            effects = removal.effects(options)
            order = [(not is_undone(each), each.cost) for each in effects]
            best = min(range(len(options)), key=order.__getitem__)
            removed, effect = options[best], effects[best]
        return len(removed), effect

    def _random(self, removal: _Removal, is_undone: Condition) -> float:
        """Return how many channels, on average, must be removed in random order to undo the bug."""
        rng, counts = np.random.default_rng(self.seed), []
        for _ in range(RANDOM_ORDERS):
            order = tuple(rng.permutation(removal.channels).tolist())
            prefixes = [order[:count] for count in range(1, self._limit(removal) + 1)]
            effects = removal.effects(prefixes)
            enough = (len(p) for p, e in zip(prefixes, effects, strict=True) if is_undone(e))
            counts.append(next(enough, self.most))
        return float(np.mean(counts))

    def _limit(self, removal: _Removal) -> int:
        return min(self.most - 1, removal.channels)


@dataclass(frozen=True)
class _Effect:
    """Effect of removing some of a network's channels.

    Attributes:
        attack: Share of the images with the watermark that are predicted as the bug's class.
        base: Share of the images that are predicted as the bug's class without the watermark.
        accuracy: Accuracy on images without the watermark.
        cost: Mean probability of the bug's class with the watermark, plus the mean probability of
            wrong classes without the watermark.
    """

    attack: float
    base: float
    accuracy: float
    cost: float


Condition = Callable[[_Effect], bool]


class _Removal:
    """Measures the effect of removing channels from a network, on the images of all ranks."""

    def __init__(self, subject: Subject, bug: Bug) -> None:
        from xnas_tf.interpretation.split_network import SplitNetwork

        self._communicator, self._labels = subject.communicator, subject.labels
        self._target, self._others = bug.target, subject.labels != bug.target
        clean = np.asarray(subject.images)
        stamped = bug.watermark.stamped(clean[self._others])
        # A rank without images traces the same functions for an image that is never used.
        sample = clean[:2] if len(clean) else np.zeros((1, *clean.shape[1:]), np.uint8)
        self._network = SplitNetwork(subject.model, sample)
        self._clean = clean, self._network.features(clean)
        self._stamped = stamped, self._network.features(stamped)
        (counts,) = self._communicator.sum(np.array([len(clean), len(stamped)]))
        self._counts = np.maximum(counts, 1)

    @property
    def channels(self) -> int:
        return self._network.channels

    def effects(self, removals: Sequence[tuple[int, ...]]) -> list[_Effect]:
        """Return the effect of removing each of several sets of channels."""
        (sums,) = self._communicator.sum(np.array([self._sums(each) for each in removals]))
        images, others = self._counts.tolist()
        return [
            _Effect(
                attacked / others,
                alike / others,
                correct / images,
                followed / others + wrong / images,
            )
            for attacked, alike, correct, followed, wrong in sums.tolist()
        ]

    def _sums(self, removed: tuple[int, ...]) -> list[float]:
        mask = np.ones(self.channels, np.float32)
        mask[list(removed)] = 0
        clean = self._network.probabilities(*self._clean, mask).astype(np.float64)
        stamped = self._network.probabilities(*self._stamped, mask).astype(np.float64)
        predicted = clean.argmax(axis=1)
        return [
            np.count_nonzero(stamped.argmax(axis=1) == self._target),
            np.count_nonzero(predicted[self._others] == self._target),
            np.count_nonzero(predicted == self._labels),
            stamped[:, self._target].sum(),
            (1 - clean[np.arange(len(clean)), self._labels]).sum(),
        ]
