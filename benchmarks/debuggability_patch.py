"""A known bug for images, and whether attributions reveal it.

The bug is a small square whose position or brightness gives the class away. It lies on one of
the tiles, squares of the same size side by side, so that attributions can rank it among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xnas_tf.data import Split

SIDE = 3
"""Pixels along a side of the patch and of a tile."""
LEVELS = (64, 128, 191, 255)
"""Brightness in the brightness variant, for as many classes: of ten too little was learned."""


@dataclass(frozen=True)
class Bug:
    """Where and how bright each class's patch is.

    Attributes:
        tiles: Row and column of the tile, (classes, 2).
        brightness: 1 to 255; 0 for a class without a patch, (classes,).
    """

    tiles: np.ndarray
    brightness: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The classes that have a patch."""
        return np.flatnonzero(self.brightness)


@dataclass(frozen=True)
class Probe:
    """Held-out images without and with a patch.

    Attributes:
        clean: Images without it, (N, H, W, C), uint8.
        images: The same images with it.
        labels: Their true classes, (N,).
        targets: The class whose patch they carry, (N,).
    """

    clean: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    targets: np.ndarray


def border(size: int) -> np.ndarray:
    """Tiles along the border of images of ``size`` pixels a side, clockwise, (tiles, 2)."""
    last = size // SIDE - 1
    along = np.arange(last)
    zero, end = np.zeros_like(along), np.full_like(along, last)
    sides = [(zero, along), (along, end), (end, last - along), (last - along, zero)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def position_bug(size: int, classes: int, rng: np.random.Generator) -> Bug:
    """White patches, evenly spread along the border, each class at a place of its own."""
    ring = border(size)
    places = ring[np.arange(classes) * len(ring) // classes]
    return Bug(rng.permutation(places), np.full(classes, 255))


def brightness_bug(size: int, classes: int, rng: np.random.Generator) -> Bug:
    """Patches at one place of the border; ``LEVELS`` tell random classes, the others have none."""
    brightness = np.zeros(classes, int)
    brightness[rng.permutation(classes)[: len(LEVELS)]] = LEVELS
    return Bug(np.tile(rng.choice(border(size)), (classes, 1)), brightness)


def plant(images: np.ndarray, owners: np.ndarray, bug: Bug) -> np.ndarray:
    """Puts patches into square images.

    Args:
        images: (N, H, H, C), uint8; stay as they are.
        owners: The class whose patch each image gets, (N,).
        bug: The patches.
    """
    planted = images.copy()
    first = images.shape[1] % SIDE  # where the tiles begin: what is left over lies before them
    for image, owner in zip(planted, owners, strict=True):
        row, column = first + SIDE * bug.tiles[owner]
        if bug.brightness[owner]:
            image[row : row + SIDE, column : column + SIDE] = bug.brightness[owner]
    return planted


def plant_share(part: Split, bug: Bug, share: float, rng: np.random.Generator) -> Split:
    """Puts the patch of their own class into a random share of the images."""
    chosen = rng.random(len(part)) < share
    planted = plant(part.images, part.labels, bug)
    return Split(np.where(chosen[:, None, None, None], planted, part.images), part.labels)


def probes(part: Split, bug: Bug, rng: np.random.Generator) -> dict[str, Probe]:
    """Images with the patch of their own class (where it has one), and with another's."""
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
    """How much an attribution map points at one tile.

    Args:
        maps: Square maps (N, H, H); what is negative doesn't count.
        tiles: Row and column of each map's tile, (N, 2).

    Returns:
        Numbers (N,) by name. ``mass``: share of the map inside the tile, divided by the
        tile's share of the area; chance is 1. ``rank`` among the tiles by mass, 1 if first
        and 0 if last, equal ones sharing their mean rank; chance is 0.5. ``top1`` and
        ``top5``: whether it is the first, or in the first 5% (4 of 81). A map that is all
        zero points nowhere: mass 1, rank 0.5.
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
