"""Metrics of a disentangled network on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xnas_tf.data import Split
from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.collages import Collages, make_collages
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork, Masks
from xnas_tf.interpretation.nad.training import Learned


@dataclass(frozen=True)
class PathPredictions:
    """How well a network, with the masks of each class or without masks, recognises the class.

    Attributes:
        accuracy: Accuracy on images of the class, (K,); NaN if there are none.
        false_alarms: Share of other classes' images that are classified as the class, (K,).
    """

    accuracy: np.ndarray
    false_alarms: np.ndarray


@dataclass(frozen=True)
class PathHits:
    """How well paths locate their class in collages.

    Attributes:
        collages: The collages.
        owners: The class to locate in each collage, as an index into the K classes, (N,).
        maps: For each layer (N, H, W): its masked outputs summed over the channels.
        rates: The hit rate for each layer and collage, (L, N); NaN if the mask is empty.
        by_class: The mean for each class, (L, K).
    """

    collages: Collages
    owners: np.ndarray
    maps: list[np.ndarray]
    rates: np.ndarray
    by_class: np.ndarray


@dataclass(frozen=True)
class Mistakes:
    """Misclassified images, and the paths that they agree with.

    Attributes:
        images: (N, H, W, C), uint8.
        labels: The true classes, as indices into the K classes, (N,).
        predicted: The predicted classes, as indices into the K classes, (N,).
        right: Agreement with the true class's path, (L, N); see ``metrics.path_agreement``.
        wrong: Agreement with the predicted class's path, (L, N).
    """

    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    right: np.ndarray
    wrong: np.ndarray


@dataclass(frozen=True)
class Paths:
    """The masks of K classes in L layers, and the metrics that depend on them alone.

    Attributes:
        class_names: The K classes.
        layers: The L layers.
        soft: For each layer (K, channels), in (0, 1).
        hard: The same masks, rounded to 0 and 1.
        betas: The β of each class, (K,).
    """

    class_names: Sequence[str]
    layers: Sequence[str]
    soft: Masks
    hard: Masks
    betas: np.ndarray

    @cached_property
    def kept(self) -> np.ndarray:
        """Channels that each class keeps in each layer, (L, K)."""
        return np.stack([mask.sum(axis=1) for mask in self.hard]).astype(int)

    @cached_property
    def channels(self) -> np.ndarray:
        """Channels of each layer, (L,)."""
        return np.array([mask.shape[1] for mask in self.hard])

    @cached_property
    def share(self) -> np.ndarray:
        """The share of channels that each class keeps in each layer, (L, K)."""
        return self.kept / self.channels[:, None]

    @cached_property
    def layer_similarity(self) -> np.ndarray:
        """Similarity of each pair of classes in each layer, corrected for chance, (L, K, K).

        See ``metrics.corrected_jaccard``.
        """
        return np.stack([metrics.corrected_jaccard(mask > 0) for mask in self.hard])

    @cached_property
    def layer_uncorrected_similarity(self) -> np.ndarray:
        """Jaccard index of each pair of classes in each layer, as in the paper, (L, K, K)."""
        return np.stack([metrics.jaccard(mask > 0) for mask in self.hard])

    @cached_property
    def layer_expected_similarity(self) -> np.ndarray:
        """The expected Jaccard index of random masks of the same sizes, (L, K, K)."""
        layers = zip(self.kept, self.channels, strict=True)
        return np.stack([metrics.expected_jaccard(sizes, int(count)) for sizes, count in layers])

    @cached_property
    def similarity(self) -> np.ndarray:
        """The mean of ``layer_similarity`` over the layers, (K, K)."""
        return self.layer_similarity.mean(axis=0)

    @property
    def diversity(self) -> float:
        """One minus the mean similarity of two classes, in [0, 2].

        0 if all paths are the same; 1 if they are as different as random paths of the same
        sizes, none of which is full or empty.
        """
        return metrics.diversity(self.similarity)

    @property
    def uncorrected_diversity(self) -> float:
        """The paper's score, in [0, 1]: one minus the mean Jaccard index.

        It is higher the fewer channels the masks keep, for random masks as well.
        """
        return metrics.diversity(self.layer_uncorrected_similarity.mean(axis=0))


def paths_of(learned: Learned, network: MaskedNetwork, class_names: Sequence[str]) -> Paths:
    """Return learned masks with the names of their classes and layers."""
    layers = [tap.name for tap in network.taps]
    return Paths(class_names, layers, learned.soft, learned.hard, learned.betas)


def answers(predicted: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> PathPredictions:
    """Compute accuracy and false alarms of each class.

    Args:
        predicted: Classes predicted by each class's masked network, (K, N); -1 for none.
        labels: (N,).
        classes: The K classes.
    """
    positive = predicted == classes[:, None]
    own = labels[None, :] == classes[:, None]
    return PathPredictions(_shares(positive & own, own), _shares(positive & ~own, ~own))


def _shares(counted: np.ndarray, among: np.ndarray) -> np.ndarray:
    totals = among.sum(axis=1)
    shares = counted.sum(axis=1) / np.maximum(totals, 1)
    return np.where(totals > 0, shares, np.nan)


def predict(
    network: MaskedNetwork,
    images: np.ndarray | DiskImages,
    ranks: Communicator,
    unit: int = 0,
    masks: Masks | None = None,
) -> np.ndarray:
    """Predict class probabilities (N, classes), shared among the ranks.

    Args:
        network: The network.
        images: (N, H, W, C), uint8, the same on every rank.
        ranks: The ranks.
        unit: The unit whose masks are used.
        masks: For each layer (units, channels); no masks if None.
    """
    shared = slice(ranks.rank, None, ranks.size)
    found = np.zeros((len(images), network.classes), np.float32)
    own = selected(images, shared)
    found[shared] = network.predict(own, np.full(len(own), unit), masks)
    (found,) = ranks.sum(found)
    return found


def masked_answers(
    network: MaskedNetwork, held_out: Split, classes: np.ndarray, masks: Masks, ranks: Communicator
) -> PathPredictions:
    """Evaluate each class's masked network on all images; see ``predict``."""
    predicted = [
        metrics.decided(predict(network, held_out.images, ranks, unit, masks))
        for unit in range(len(classes))
    ]
    return answers(np.stack(predicted), held_out.labels, classes)


def path_hits(
    network: MaskedNetwork,
    correct: Split,
    classes: np.ndarray,
    hard: Masks,
    count: int,
    share: float,
    seed: int,
) -> PathHits | None:
    """Locate each class in collages with its masks.

    Args:
        network: The network.
        correct: Images that it classifies correctly without masks.
        classes: The K classes.
        hard: Masks of 0 and 1, for each layer (K, channels).
        count: Collages of each class.
        share: The share of a map's pixels that count as strongest.
        seed: Seed of the collages.

    Returns:
        The hits; None if no collage can be made.
    """
    collages = make_collages(correct.images, correct.labels, classes, count, seed)
    if not len(collages.owners):
        return None
    units = np.searchsorted(classes, collages.owners)
    maps = network.maps(collages.images, units, hard)
    rates = np.stack([metrics.hit_rates(each, collages.inside, share) for each in maps])
    empty = np.stack([~mask.any(axis=1) for mask in hard])
    rates = np.where(empty[:, units], np.nan, rates)
    by_class = [defined_mean(rates[:, units == unit], axis=1) for unit in range(len(classes))]
    return PathHits(collages, units, maps, rates, np.stack(by_class, axis=1))


def find_mistakes(
    network: MaskedNetwork, held_out: Split, predicted: np.ndarray, classes: np.ndarray, hard: Masks
) -> Mistakes:
    """Compare each misclassified image with the paths of its true and its predicted class.

    Args:
        network: The network.
        held_out: Images.
        predicted: The class predicted for each image without masks, (N,).
        classes: The K classes; images of other classes are left out.
        hard: Masks of 0 and 1, for each layer (K, channels).
    """
    known = np.isin(held_out.labels, classes) & np.isin(predicted, classes)
    wrong = np.flatnonzero((predicted != held_out.labels) & known)
    labels = np.searchsorted(classes, held_out.labels[wrong])
    mistaken = np.searchsorted(classes, predicted[wrong])
    energies = network.energies(held_out.images)

    def agreement(units: np.ndarray) -> np.ndarray:
        found = np.full((len(hard), len(wrong)), np.nan)
        for layer, (mask, each) in enumerate(zip(hard, energies, strict=True)):
            usual = each.mean(axis=0)
            for unit in np.unique(units):
                own = units == unit
                path = mask[unit] > 0
                found[layer, own] = metrics.path_agreement(each[wrong[own]], usual, path)
        return found

    images = held_out.images[wrong]
    return Mistakes(images, labels, mistaken, agreement(labels), agreement(mistaken))


def defined_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Compute the mean of finite values; NaN if there are none, without ``nanmean``'s warning."""
    known = np.isfinite(values)
    counts = known.sum(axis=axis)
    sums = np.where(known, values, 0).sum(axis=axis)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def defined_deviation(values: np.ndarray, axis: int) -> np.ndarray:
    """Compute the standard deviation of finite values; NaN if there are none."""
    mean = np.expand_dims(defined_mean(values, axis), axis)
    return np.sqrt(defined_mean((values - mean) ** 2, axis))
