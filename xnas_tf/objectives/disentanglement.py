"""Disentanglement: how different the paths are that classes take through a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    from xnas_tf.interpretation.nad.training import Lesson

BATCH = 4
"""Images of each class in a step: few, so that there are many steps."""
STAGES = 2
"""Values of β in a pass. With one, a network of cells kept 99% of its channels instead of 98%."""
TOLERANCE = 0.02
"""Share of a class's images that its path may lose, as ``disentangle`` has it."""


class DisentanglementObjective(Objective):
    """Diversity of the classes' paths: one minus their mean similarity; more is better.

    Paths are masks over channels (NAD, arXiv 2003.13268), learned with the network frozen from
    a few validation images. Similarity is the Jaccard index corrected for chance, the mean over
    layers and class pairs. So the value is 0 where all classes use the same channels and 1 where
    paths are as different as random ones of the same sizes; it is at most 2. Where a mask is full
    or empty its overlap says nothing, and counts as the same path. A class whose paths
    would all cause more false alarms than allowed keeps all channels, and a class that the network
    never gets right has no path: both count as the same path as any other. A quick estimate:
    `xnas-tf disentangle` learns from the whole training part.
    Recorded besides: the paper's diversity, not corrected for chance, which rewards small masks;
    false alarms (the share of other classes' images that a path takes for its class); the share
    of channels kept; the classes that keep all of them; the classes that have a correctly
    classified image; and each layer's own diversity.
    """

    name: Literal["disentanglement"] = "disentanglement"
    direction: Literal["minimize", "maximize"] = "maximize"
    images: int = Field(128, ge=2, description="validation images learned from, at most")
    epochs: int = Field(6, ge=1, description="passes over them")
    beta: float = Field(
        2.0,
        ge=0,
        allow_inf_nan=False,
        description="weight of sparsity at the end, from a hundredth of it; published: 0.02 to 5",
    )
    false_alarms: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of other classes' images that a path may take for its class",
    )
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="layers with masks, names or patterns; else the ends of all blocks",
    )
    seed: int = Field(0, ge=0, description="of the order of the images")

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; gradients are added up over the ranks before each step."""
        from xnas_tf.interpretation.nad.evaluation import paths_of
        from xnas_tf.interpretation.nad.gated_network import MaskedNetwork
        from xnas_tf.interpretation.nad.training import Images, false_alarms, learn

        ranks = subject.communicator
        share = len(range(ranks.rank, self.images, ranks.size))
        labels, is_right = self._of_all_ranks(subject, share)
        able = np.unique(labels[is_right])
        if len(able) < 2:
            what = f"{self.name}: {len(able)} classes have correctly classified images"
            return ObjectiveValue(
                0.0, {f"{self.name}/classes": float(len(able))}, f"{what}, 2 are needed"
            )
        images = subject.images[:share]
        if not len(images):  # as on one of many ranks: one that never counts
            images = np.zeros((1, *images.shape[1:]), np.uint8)
        network = MaskedNetwork(subject.model, images, self.layers)
        given = Images(images, labels, is_right)
        learned = learn(network, given, able, self.lesson(), communicator=ranks)
        if not all(np.isfinite(each).all() for each in learned.logits):
            return ObjectiveValue(float("nan"), {}, f"{self.name}: the gradients are not finite")
        paths = paths_of(learned, network, [subject.class_names[c] for c in able])
        pairs = np.triu_indices(len(able), k=1)
        metrics = {
            f"{self.name}/{layer}": float(1 - similar[pairs].mean())
            for layer, similar in zip(paths.layers, paths.layer_similarity, strict=True)
        }
        alarms = false_alarms(network, given, able, learned.hard, ranks)
        metrics |= {
            f"{self.name}/uncorrected": paths.uncorrected_diversity,
            f"{self.name}/false_alarms": float(alarms.mean()),
            f"{self.name}/kept": float(paths.share.mean()),
            f"{self.name}/all_kept": float((paths.share == 1).all(axis=0).sum()),
            f"{self.name}/classes": float(len(able)),
        }
        return ObjectiveValue(paths.diversity * _share_of_pairs(able, labels), metrics)

    def lesson(self) -> Lesson:
        """How masks are learned: β rises, and each class keeps the sparsest within the limits."""
        from xnas_tf.interpretation.nad.training import Lesson

        stages = self.beta * np.geomspace(0.01, 1, STAGES * self.epochs)
        limits = {"tolerance": TOLERANCE, "false_alarms": self.false_alarms}
        return Lesson("auto", self.epochs, BATCH, **limits, seed=self.seed, stages=tuple(stages))

    def _of_all_ranks(self, subject: Subject, share: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels of all images that are learned from, and whether each is classified right."""
        ranks = subject.communicator
        (counts,) = ranks.sum(np.eye(ranks.size)[ranks.rank] * len(subject.labels[:share]))
        facts = np.zeros((2, int(counts.sum())))
        own = subject.labels[:share]
        facts[:, ranks.rank :: ranks.size] = own, subject.predicted[:share] == own
        (everything,) = ranks.sum(facts)
        return everything[0].astype(np.int32), everything[1] > 0


def _share_of_pairs(able: np.ndarray, labels: np.ndarray) -> float:
    """How many of all pairs of classes are pairs of those that have a path."""
    present = len(np.unique(labels))
    return len(able) * (len(able) - 1) / (present * (present - 1))
