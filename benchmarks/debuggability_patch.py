"""Plants a known bug in images, and measures whether attributions reveal it.

The bug is a small square whose position or brightness gives the class away. The image is divided
into tiles of the same size, and the square covers one of them, so that attributions can rank it
among the tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnas_tf.data import Split
from xnas_tf.data.watermark import Watermark

SIDE = 3
"""Side of the patch and of a tile, in pixels."""
LEVELS = (64, 128, 191, 255)
"""Brightness of the patches in the brightness variant, one for each class that has a patch. With
ten levels, models learned too little."""


@dataclass(frozen=True)
class Bug:
    """The position and the brightness of each class's patch.

    Attributes:
        tiles: Row and column of the tile, (classes, 2).
        brightness: From 1 to 255, or 0 for a class without a patch, (classes,).
    """

    tiles: np.ndarray
    brightness: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The classes that have a patch."""
        return np.flatnonzero(self.brightness)


@dataclass(frozen=True)
class Probe:
    """Held-out images with and without a patch.

    Attributes:
        clean: Images without the patch, (N, H, W, C), uint8.
        images: The same images with the patch.
        labels: The true classes, (N,).
        targets: The class whose patch each image has, (N,).
    """

    clean: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    targets: np.ndarray


def border(size: int) -> np.ndarray:
    """Return the border tiles of images with sides of ``size`` pixels, clockwise, (tiles, 2)."""
    last = size // SIDE - 1
    along = np.arange(last)
    zero, end = np.zeros_like(along), np.full_like(along, last)
    sides = [(zero, along), (along, end), (end, last - along), (last - along, zero)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def position_bug(size: int, classes: int, rng: np.random.Generator) -> Bug:
    """Return white patches, spread evenly along the border, with a different position per class."""
    ring = border(size)
    places = ring[np.arange(classes) * len(ring) // classes]
    return Bug(rng.permutation(places), np.full(classes, 255))


def brightness_bug(size: int, classes: int, rng: np.random.Generator) -> Bug:
    """Return patches at one position of the border: random classes get the brightness ``LEVELS``,
    and the other classes get no patch."""
    brightness = np.zeros(classes, int)
    brightness[rng.permutation(classes)[: len(LEVELS)]] = LEVELS
    return Bug(np.tile(rng.choice(border(size)), (classes, 1)), brightness)


def plant(images: np.ndarray, owners: np.ndarray, bug: Bug) -> np.ndarray:
    """Put patches into square images.

    Args:
        images: Images, (N, H, H, C), uint8; they are not changed.
        owners: The class whose patch each image gets, (N,).
        bug: The patches.
    """
    planted = images.copy()
    first = images.shape[1] % SIDE  # the tiles begin after the remainder
    for owner in np.intersect1d(owners, bug.classes):
        row, column = first + SIDE * bug.tiles[owner]
        pattern = np.full((SIDE, SIDE), bug.brightness[owner], np.uint8)
        own = owners == owner
        planted[own] = Watermark(pattern, row, column).stamped(images[own])
    return planted


def plant_share(part: Split, bug: Bug, share: float, rng: np.random.Generator) -> Split:
    """Put the patch of the image's own class into a random share of the images."""
    chosen = rng.random(len(part)) < share
    planted = plant(part.images, part.labels, bug)
    return Split(np.where(chosen[:, None, None, None], planted, part.images), part.labels)


def probes(part: Split, bug: Bug, rng: np.random.Generator) -> dict[str, Probe]:
    """Return images with the patch of their own class, if it has one, and of another class."""
    part = part.take(rng.permutation(len(part)))
    own = part.take(np.isin(part.labels, bug.classes))
    others = [rng.choice(bug.classes[bug.classes != label]) for label in part.labels]
    return {
        name: Probe(some.images, plant(some.images, owners, bug), some.labels, owners)
        for name, some, owners in (
            ("own", own, own.labels),
            ("wrong", part, np.array(others, np.int32)),
        )
    }


def figures_of(maps: np.ndarray, tiles: np.ndarray) -> dict[str, np.ndarray]:
    """Measure how strongly attribution maps point to one tile.

    Args:
        maps: Square maps (N, H, H); negative values are ignored.
        tiles: Row and column of each map's tile, (N, 2).

    Returns:
        Numbers (N,) by name. ``mass`` is the share of the map inside the tile, divided by the
        tile's share of the area; 1 is expected by chance. ``rank`` is the rank by mass among the
        tiles, from 1 for the first to 0 for the last, where equal tiles share their mean rank; 0.5
        is expected by chance. ``top1`` and ``top5`` tell whether the tile is the first, or in the
        first 5% (4 of 81). A map of zeros has a mass of 1 and a rank of 0.5.
    """
    positive = np.maximum(maps, 0).astype(np.float64)
    size, count = maps.shape[1], maps.shape[1] // SIDE
    inner = positive[:, size % SIDE :, size % SIDE :]
    masses = inner.reshape(-1, count, SIDE, count, SIDE).sum(axis=(2, 4))
    own = masses[np.arange(len(maps)), tiles[:, 0], tiles[:, 1]]
    total, area = positive.sum(axis=(1, 2)), SIDE**2 / size**2
    before = (masses > own[:, None, None]).sum(axis=(1, 2))
    equal = (masses == own[:, None, None]).sum(axis=(1, 2)) - 1
    place = before + equal / 2
    return {
        "mass": np.divide(own, total * area, out=np.ones(len(maps)), where=total > 0),
        "rank": 1 - place / (count**2 - 1),
        "top1": (place < 1).astype(float),
        "top5": (place < int(0.05 * count**2)).astype(float),
    }
