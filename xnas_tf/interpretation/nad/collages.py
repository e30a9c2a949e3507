"""Collages of four images, on which a path must find its own class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Collages:
    """2x2 collages in the size of one image.

    Attributes:
        images: (N, H, W, C), uint8.
        owners: The class that is looked for in each, (N,).
        inside: Where its quadrant is, (N, H, W), bool.
    """

    images: np.ndarray
    owners: np.ndarray
    inside: np.ndarray

    @property
    def chance(self) -> float:
        """The share of hits by chance; 0.25 where height and width are even."""
        return float(self.inside.mean()) if len(self.owners) else 0.25


def make_collages(
    images: np.ndarray, labels: np.ndarray, classes: np.ndarray, count: int, seed: int
) -> Collages:
    """Draw collages of an image of each class with three of other classes.

    The three are of different classes as far as there are so many. Images are scaled down
    to a quadrant, so that a collage is as large as what the network takes.

    Args:
        images: (N, H, W, C), uint8.
        labels: (N,).
        classes: The classes looked for; those without images get no collages.
        count: Collages of each class.
        seed: Of what is drawn, for each class on its own.
    """
    present = np.unique(labels)
    rows, owners, quadrants = [], [], []
    for number in [c for c in classes if c in present] if len(present) > 1 else []:
        rng = np.random.default_rng([seed, int(number)])
        others = np.setdiff1d(present, [number])
        for _ in range(count):
            three = np.resize(rng.permutation(others), 3)
            chosen = [rng.choice(np.flatnonzero(labels == c)) for c in (number, *three)]
            quadrant = int(rng.integers(4))
            chosen.insert(quadrant, chosen.pop(0))
            rows.append(chosen)
            owners.append(number)
            quadrants.append(quadrant)
    return Collages(
        _joined(images, np.array(rows, int).reshape(-1, 4)),
        np.array(owners, int),
        _quadrants(images.shape[1:3])[np.array(quadrants, int)],
    )


def _joined(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Collages (N, H, W, C) of the images whose places are given, (N, 4), row by row."""
    _, height, width, channels = images.shape
    joined = np.zeros((len(rows), height, width, channels), np.uint8)
    for place, inside in enumerate(_quadrants((height, width))):
        down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows) and down.size and across.size:
            small = tf.image.resize(
                images[rows[:, place]], (down.size, across.size), antialias=True
            )
            joined[:, down[0] : down[-1] + 1, across[0] : across[-1] + 1] = np.rint(small)
    return joined


def _quadrants(shape: tuple[int, int]) -> np.ndarray:
    """The four quadrants as (4, H, W), bool, row by row."""
    height, width = shape
    lower = np.arange(height)[:, None] >= height // 2
    right = np.arange(width)[None, :] >= width // 2
    return np.stack([(lower == down) & (right == across) for down in (0, 1) for across in (0, 1)])
