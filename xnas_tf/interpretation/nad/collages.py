"""Collages of four images, in which a path must locate its own class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages


@dataclass(frozen=True)
class Collages:
    """2x2 collages of the size of one image.

    Attributes:
        images: (N, H, W, C), uint8.
        owners: The class to locate in each collage, (N,).
        inside: The pixels of its quadrant, (N, H, W), bool.
    """

    images: np.ndarray
    owners: np.ndarray
    inside: np.ndarray

    @property
    def chance(self) -> float:
        """The hit rate by chance; 0.25 if height and width are even."""
        return float(self.inside.mean()) if len(self.owners) else 0.25


def make_collages(
    images: np.ndarray | DiskImages, labels: np.ndarray, classes: np.ndarray, count: int, seed: int
) -> Collages:
    """Sample collages of one image of a class with three images of other classes.

    The three are of different classes if there are enough. Each image is scaled down to a
    quadrant, so that a collage has the network's input size.

    Args:
        images: (N, H, W, C), uint8.
        labels: (N,).
        classes: The classes to locate; those without images get no collages.
        count: Collages of each class.
        seed: Seed of the samples, which are independent for each class.
    """
    present = np.unique(labels)
    rows: list[list[int]] = []
    owners: list[int] = []
    quadrants: list[int] = []
    for number in [c for c in classes if c in present] if len(present) > 1 else []:
        rng = np.random.default_rng([seed, int(number)])
        others = np.setdiff1d(present, [number])
        for _ in range(count):
            three = np.resize(rng.permutation(others), 3)
            chosen = [int(rng.choice(np.flatnonzero(labels == c))) for c in (number, *three)]
            quadrant = int(rng.integers(4))
            chosen.insert(quadrant, chosen.pop(0))
            rows.append(chosen)
            owners.append(int(number))
            quadrants.append(quadrant)
    return Collages(
        _compose(images, np.array(rows, int).reshape(-1, 4)),
        np.array(owners, int),
        _quadrants(images.shape[1:3])[np.array(quadrants, int)],
    )


def _compose(images: np.ndarray | DiskImages, rows: np.ndarray) -> np.ndarray:
    """Return collages (N, H, W, C) of the images with the given indices, (N, 4)."""
    _, height, width, channels = images.shape
    collages = np.zeros((len(rows), height, width, channels), np.uint8)
    for quadrant, inside in enumerate(_quadrants((height, width))):
        down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows) and down.size and across.size:
            small = tf.image.resize(
                images[rows[:, quadrant]], (down.size, across.size), antialias=True
            )
            collages[:, down[0] : down[-1] + 1, across[0] : across[-1] + 1] = np.rint(small)
    return collages


def _quadrants(shape: tuple[int, ...]) -> np.ndarray:
    """Return masks of the four quadrants of an image (H, W), row by row, (4, H, W), bool."""
    height, width = shape
    lower = np.arange(height)[:, None] >= height // 2
    right = np.arange(width)[None, :] >= width // 2
    return np.stack([(lower == down) & (right == across) for down in (0, 1) for across in (0, 1)])
