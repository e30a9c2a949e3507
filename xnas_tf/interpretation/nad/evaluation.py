"""Evaluates a disentangled network on held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnas_tf.data import Split
from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.collages import Collages, make_collages
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork, Masks
from xnas_tf.interpretation.nad.metrics import defined_mean

COLLAGES = 32
"""Number of collages for each class."""
TOP_PIXELS = 0.1
"""Share of a map's pixels that count as hits or misses; the paper uses 0.05 to 0.1."""


@dataclass(frozen=True)
class PathPredictions:
    """How accurately a network recognises each of K classes, with or without the class's masks."""

    accuracy: np.ndarray  # on the class's images, (K,); NaN if there are none
    false_alarms: np.ndarray  # share of others' images that are classified as this class, (K,)


@dataclass(frozen=True)
class PathHits:
    """How often paths locate their class in N collages.

    The maps are each layer's masked outputs for a class's first collage, summed over the channels.
    """

    collages: Collages
    owners: np.ndarray  # the class to locate in each collage, as an index into the K classes, (N,)
    maps: dict[int, np.ndarray]  # (L, H, W) by index of the class
    rates: np.ndarray  # the hit rate for each layer and collage, (L, N); NaN if the mask is empty
    by_class: np.ndarray  # the mean hit rate of each class, (L, K)


@dataclass(frozen=True)
class Mistakes:
    """N misclassified images and their agreement with paths; see ``metrics.path_agreement``."""

    images: np.ndarray  # (N, H, W, C), uint8
    labels: np.ndarray  # the true classes as indices into the K classes, (N,)
    predicted: np.ndarray  # the predicted classes as indices into the K classes, (N,)
    right: np.ndarray  # agreement with the true class's path, (L, N)
    wrong: np.ndarray  # agreement with the predicted class's path, (L, N)
    total: int  # number of all misclassified images, also of others than the K classes


def answers(predicted: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> PathPredictions:
    """Compute the accuracy and false alarms of each of K classes on N images.

    The predictions come from each class's masked network, (K, N), or from the network without
    masks, (N,); -1 means no prediction.
    """
    positive = (predicted == classes[:, None]).astype(float)
    own = labels == classes[:, None]
    return PathPredictions(
        accuracy=defined_mean(np.where(own, positive, np.nan), axis=1),
        false_alarms=defined_mean(np.where(own, np.nan, positive), axis=1),
    )


def predict(
    network: MaskedNetwork,
    images: np.ndarray | DiskImages,
    ranks: Communicator,
    unit: int = 0,
    masks: Masks | None = None,
) -> np.ndarray:
    """Predict class probabilities (N, classes) with one unit's masks, on all ranks together.

    Every rank gets the same images; see ``MaskedNetwork.predict``.
    """
    share = slice(ranks.rank, None, ranks.size)
    own = selected(images, share)
    found = np.zeros((len(images), network.classes), np.float32)
    found[share] = network.predict(own, np.full(len(own), unit), masks)
    (found,) = ranks.sum(found)
    return found


def masked_answers(
    network: MaskedNetwork, held_out: Split, classes: np.ndarray, masks: Masks, ranks: Communicator
) -> PathPredictions:
    """Evaluate each class's masked network on all images, on all ranks together."""
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
    seed: int,
    count: int = COLLAGES,
) -> PathHits | None:
    """Locate each class in ``count`` collages with its masks; return None if there are no collages.

    ``correct`` are images that the network classifies correctly without masks.
    """
    collages = make_collages(correct.images, correct.labels, classes, count, seed)
    if not len(collages.owners):
        return None
    units = np.searchsorted(classes, collages.owners)
    rates, maps = np.zeros((len(hard), len(units))), {}
    for unit in np.unique(units).tolist():  # the maps of all classes may not fit into memory
        own = np.flatnonzero(units == unit)
        found = np.stack(network.maps(collages.images[own], units[own], hard))
        inside = collages.inside[own]
        rates[:, own] = [metrics.hit_rates(each, inside, TOP_PIXELS) for each in found]
        maps[unit] = found[:, 0].copy()
    is_empty = np.stack([~mask[units].any(axis=1) for mask in hard])
    rates = np.where(is_empty, np.nan, rates)
    by_class = [defined_mean(rates[:, units == unit], axis=1) for unit in range(len(classes))]
    return PathHits(collages, units, maps, rates, np.stack(by_class, axis=1))


def find_mistakes(
    network: MaskedNetwork, held_out: Split, predicted: np.ndarray, classes: np.ndarray, hard: Masks
) -> Mistakes:
    """Compare each misclassified image with the paths of its true and predicted classes.

    Images are counted, but not compared, if their true class or the class predicted without masks
    is not among the K classes.
    """
    is_wrong = predicted != held_out.labels
    known = np.isin(held_out.labels, classes) & np.isin(predicted, classes)
    wrong = np.flatnonzero(is_wrong & known)
    labels = np.searchsorted(classes, held_out.labels[wrong])
    mistaken = np.searchsorted(classes, predicted[wrong])
    energies = network.energies(held_out.images)

    def agreement(units: np.ndarray) -> np.ndarray:
        found = [
            metrics.path_agreement(each[wrong], each.mean(axis=0), mask[units] > 0)
            for each, mask in zip(energies, hard, strict=True)
        ]
        return np.stack(found)

    images = held_out.images[wrong]
    agreements = agreement(labels), agreement(mistaken)
    return Mistakes(images, labels, mistaken, *agreements, int(is_wrong.sum()))
