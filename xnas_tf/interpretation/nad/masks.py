"""Classes' masks and how similar they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.gated_network import Masks


@dataclass(frozen=True)
class Paths:
    """The masks of K classes in L layers."""

    layers: Sequence[str]
    logits: Masks  # the mask logits, (K, channels) for each layer
    betas: np.ndarray  # β for each class's masks, (K,); 0 if the class kept all channels
    class_names: Sequence[str] = ()

    @cached_property
    def soft(self) -> Masks:
        """Masks with values in (0, 1), (K, channels) for each layer."""
        return [expit(each).astype(np.float32) for each in self.logits]

    @cached_property
    def hard(self) -> Masks:
        """Binary masks: a channel is kept if the sigmoid of its logit exceeds one half."""
        return [(each > 0).astype(np.float32) for each in self.logits]

    @cached_property
    def kept(self) -> np.ndarray:
        """Number of channels kept for each class in each layer, (L, K)."""
        return np.stack([mask.sum(axis=1) for mask in self.hard]).astype(int)

    @cached_property
    def channels(self) -> np.ndarray:
        """Number of channels in each layer, (L,)."""
        return np.array([mask.shape[1] for mask in self.hard])

    @cached_property
    def share(self) -> np.ndarray:
        """Share of channels kept by each class in each layer, (L, K)."""
        return self.kept / self.channels[:, None]

    @cached_property
    def has_own_path(self) -> np.ndarray:
        """Whether each class keeps only part of the channels of some layer, (K,).

        The similarity of any other class to all classes is 1, whatever channels these use.
        """
        return np.asarray(((self.share > 0) & (self.share < 1)).any(axis=0))

    @cached_property
    def layer_similarity(self) -> np.ndarray:
        """Similarity of each pair of classes, (L, K, K); see ``metrics.corrected_jaccard``."""
        return np.stack([metrics.corrected_jaccard(mask > 0) for mask in self.hard])

    @cached_property
    def layer_uncorrected_similarity(self) -> np.ndarray:
        """Jaccard index of each pair of classes in each layer, as in the paper, (L, K, K)."""
        return np.stack([metrics.jaccard(mask > 0) for mask in self.hard])

    @cached_property
    def layer_expected_similarity(self) -> np.ndarray:
        """Expected Jaccard index of random masks of the same sizes, (L, K, K)."""
        layers = zip(self.kept, self.channels, strict=True)
        return np.stack([metrics.expected_jaccard(sizes, int(count)) for sizes, count in layers])

    @cached_property
    def similarity(self) -> np.ndarray:
        """Mean of ``layer_similarity`` over the layers, (K, K)."""
        return self.layer_similarity.mean(axis=0)

    def most_similar(self, place: int) -> list[int]:
        """Return the classes with the most similar paths, the most similar first.

        There are at most ``metrics.NEAREST``, and at most half of the other classes unless there is
        only one. Classes without a path of their own have none, and classes that share the last
        place are left out, because their order would mean nothing.
        """
        if not self.has_own_path[place]:
            return []
        count = min(metrics.NEAREST, max(1, (int(self.has_own_path.sum()) - 1) // 2))
        order = metrics.others_by(self.similarity[place], place, len(self.similarity))
        own = [other for other in order if self.has_own_path[other]]
        return [other for other in own[:count] if self.similar_share(place, other, count) == 1]

    def similar_share(self, place: int, other: int, count: int = metrics.NEAREST) -> float:
        """Return whether a class is one of the most similar to another, as a number in [0, 1].

        Often, several classes are equally similar, because a full mask in a layer counts as the
        same path; see ``metrics.nearest_share``. Both classes must have paths of their own.
        """
        is_other = self.has_own_path & (np.arange(len(self.similarity)) != place)
        values = np.where(is_other, self.similarity[place], -np.inf)
        return metrics.nearest_share(values, other, count)

    @property
    def diversity(self) -> float:
        """One minus the mean similarity of two classes, in [0, 2].

        It is 0 if all paths are the same, and 1 if they differ as much as random paths of the same
        sizes, provided that no path is full or empty.
        """
        return 1 - metrics.mean_of_pairs(self.similarity)

    @property
    def uncorrected_diversity(self) -> float:
        """The paper's diversity score, one minus the mean Jaccard index, in [0, 1].

        It is 1 if no two paths share a channel, and rises as masks keep fewer channels, even if
        they are random.
        """
        return 1 - metrics.mean_of_pairs(self.layer_uncorrected_similarity.mean(axis=0))
