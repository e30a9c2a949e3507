"""Disentanglement: how different the paths are that classes take through a network."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from xnas_tf.objectives.base import Objective, Score, Subject

BATCH = 4
"""Images of each class in a step: few, so that there are many steps."""


class Disentanglement(Objective):
    """Diversity of the classes' paths, in [0, 1]: one minus their mean similarity; more is better.

    Paths are masks over channels (NAD, arXiv 2003.13268), learned with the network frozen from
    a few validation images; similarity is the mean Jaccard index over layers and class pairs.
    A quick estimate: `xnas-tf disentangle` learns from the whole training part and chooses β.
    Recorded besides: the share of channels kept, how many masks are empty, the classes that
    have a path, and each layer's own diversity.
    """

    name: Literal["disentanglement"] = "disentanglement"
    direction: Literal["minimize", "maximize"] = "maximize"
    images: int = Field(128, ge=2, description="validation images learned from, at most")
    epochs: int = Field(6, ge=1, description="passes over them")
    beta: float = Field(
        2.0, ge=0, allow_inf_nan=False, description="weight of sparsity; published: 0.02 to 5"
    )
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="layers with masks, names or patterns; else the ends of all blocks",
    )
    seed: int = Field(0, ge=0, description="of the order of the images")

    def score(self, subject: Subject) -> Score:
        """See ``Objective.score``; gradients are added up over the ranks before each step."""
        from xnas_tf.interpret.nad.figures import paths_of
        from xnas_tf.interpret.nad.learning import Images, Lesson, learn
        from xnas_tf.interpret.nad.network import MaskedNetwork

        ranks = subject.communicator
        share = len(range(ranks.rank, self.images, ranks.size))
        labels, is_right = self._of_all_ranks(subject, share)
        able = np.unique(labels[is_right])
        if len(able) < 2:
            what = f"{self.name}: {len(able)} classes have correctly classified images"
            return Score(0.0, {f"{self.name}/classes": float(len(able))}, f"{what}, 2 are needed")
        images = subject.images[:share]
        if not len(images):  # as on one of many ranks: one that never counts
            images = np.zeros((1, *images.shape[1:]), np.uint8)
        network = MaskedNetwork(subject.model, images, self.layers)
        how = Lesson(self.beta, self.epochs, BATCH, seed=self.seed)
        learned = learn(network, Images(images, labels, is_right), able, how, communicator=ranks)
        if not all(np.isfinite(each).all() for each in learned.logits):
            return Score(float("nan"), {}, f"{self.name}: the gradients are not finite")
        paths = paths_of(learned, network, [subject.class_names[c] for c in able])
        pairs = np.triu_indices(len(able), k=1)
        metrics = {
            f"{self.name}/{layer}": float(1 - similar[pairs].mean())
            for layer, similar in zip(paths.layers, paths.layer_similarity, strict=True)
        }
        metrics[f"{self.name}/kept"] = float(paths.share.mean())
        metrics[f"{self.name}/empty"] = float((paths.kept == 0).sum())
        metrics[f"{self.name}/classes"] = float(len(able))
        return Score(paths.diversity, metrics)

    def _of_all_ranks(self, subject: Subject, share: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels of all images that are learned from, and whether each is classified right."""
        ranks = subject.communicator
        (counts,) = ranks.sum(np.eye(ranks.size)[ranks.rank] * len(subject.labels[:share]))
        facts = np.zeros((2, int(counts.sum())))
        own = subject.labels[:share]
        facts[:, ranks.rank :: ranks.size] = own, subject.predicted[:share] == own
        (everything,) = ranks.sum(facts)
        return everything[0].astype(np.int32), everything[1] > 0
