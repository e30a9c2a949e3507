"""Makes collages of four images, in which a path must locate its class."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages


class Collages(NamedTuple):
    """Collages of 2x2 images, each as large as one original image."""

    images: np.ndarray  # (N, H, W, C), uint8
    owners: np.ndarray  # the class to locate in each collage, (N,)
    inside: np.ndarray  # whether each pixel is in the quadrant of that class, (N, H, W), bool

    @property
    def chance(self) -> float:
        """The hit rate expected by chance; 0.25 if height and width are even."""
        return float(self.inside.mean())


def make_collages(
    images: np.ndarray | DiskImages, labels: np.ndarray, classes: np.ndarray, count: int, seed: int
) -> Collages:
    """Sample ``count`` collages of each class, with three images of other classes each.

    The three images are from different classes if there are enough classes. Each image is scaled
    down to a quadrant. The collages of a class depend only on the seed and the class.
    """
    present = np.unique(labels)
    samples: list[tuple[int, ...]] = []
    for owner in np.intersect1d(classes, present) if len(present) > 1 else ():
        rng = np.random.default_rng([seed, int(owner)])
        others = np.setdiff1d(present, [owner])
        for _ in range(count):
            shown = [owner, *np.resize(rng.permutation(others), 3)]
            rows = [int(rng.choice(np.flatnonzero(labels == c))) for c in shown]
            quadrant = int(rng.integers(4))
            rows.insert(quadrant, rows.pop(0))
            samples.append((owner, quadrant, *rows))
    owners, quadrants, *columns = np.array(samples, int).reshape(-1, 6).T
    collages = np.zeros((len(owners), *images.shape[1:]), np.uint8)
    inside = np.zeros(collages.shape[:3], bool)
    halves = [(slice(0, size // 2), slice(size // 2, size)) for size in inside.shape[1:]]
    for quadrant, (down, across) in enumerate(product(*halves)):
        region = collages[:, down, across]
        if region.size:
            sources = images[columns[quadrant]]
            region[:] = np.rint(tf.image.resize(sources, region.shape[1:3], antialias=True))
        inside[quadrants == quadrant, down, across] = True
    return Collages(collages, owners, inside)
