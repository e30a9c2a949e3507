"""Batches and augmentation that do not depend on the number of ranks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xnas_tf.data.dataset import Batch, Dataset
from xnas_tf.data.options import AugmentationOptions


def shard(count: int, rank: int, size: int) -> np.ndarray:
    """Return the indices, out of ``count``, that one of ``size`` ranks handles."""
    return np.arange(rank, count, size)


def batching(count: int, batch_size: int) -> tuple[int, int]:
    """Return the size of a global batch, at most ``count``, and the number of complete batches."""
    size = min(batch_size, count)
    return size, count // size


def training_batches(
    dataset: Dataset,
    batch_size: int,
    augmentation: AugmentationOptions,
    seed: int,
    epoch: int,
    rank: int = 0,
    size: int = 1,
    first: int = 0,
) -> Iterator[Batch]:
    """Yield this rank's part of each global batch of an epoch.

    Order and augmentation depend only on the training's seed and the epoch, so all ranks together
    see exactly the images that a single process would see, even after an interruption. A global
    batch has ``batch_size`` images; ``first`` is the index of the first batch to yield.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(dataset.train))
    batch_size, steps = batching(len(order), batch_size)
    mine = shard(batch_size, rank, size)
    for step in range(steps):
        changes = Augmentation(augmentation, dataset, batch_size, rng)
        if step < first:
            continue
        batch = dataset.train.take(order[step * batch_size : (step + 1) * batch_size][mine])
        yield Batch(changes.apply(batch.images, mine), batch.labels)


class Augmentation:
    """Random changes to the ``count`` images of one global batch.

    Images are cropped after padding, flipped horizontally and partly blanked out by cutout
    (DeVries & Taylor 2017, arXiv 1708.04552), as in the XNAS paper. Turning flips or cutout on or
    off does not change the other random numbers.
    """

    def __init__(
        self, config: AugmentationOptions, dataset: Dataset, count: int, rng: np.random.Generator
    ) -> None:
        self.config = config
        self.flips = config.flips(dataset.mirrored)
        height, width, _ = dataset.image_shape
        self.shift = rng.integers(0, 2 * config.crop + 1, (count, 2))
        self.flip = rng.random(count) < 0.5
        self.hole = rng.integers(0, (height, width), (count, 2))

    def apply(self, images: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Change images (N, H, W, C), whose positions in the global batch are ``indices`` (N,)."""
        if self.config.crop:
            images = self._crop(images, self.shift[indices])
        if self.flips:
            flip = self.flip[indices][:, None, None, None]
            images = np.where(flip, images[:, :, ::-1], images)
        if self.config.cutout:
            images = np.where(self._holes(images.shape, self.hole[indices]), 0, images)
        return images.astype(np.uint8, copy=False)

    def _crop(self, images: np.ndarray, shift: np.ndarray) -> np.ndarray:
        pad = self.config.crop
        _, height, width, _ = images.shape
        padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        rows = shift[:, 0, None] + np.arange(height)
        columns = shift[:, 1, None] + np.arange(width)
        image = np.arange(len(images))[:, None, None]
        return padded[image, rows[:, :, None], columns[:, None, :]]

    def _holes(self, shape: tuple[int, ...], centre: np.ndarray) -> np.ndarray:
        """Return a mask that is true in a square of side ``cutout`` around each centre."""
        side = self.config.cutout
        first = centre[:, :, None] - side // 2  # the square's upper row and left column
        rows, columns = (np.arange(shape[axis]) - first[:, axis - 1] for axis in (1, 2))
        rows, columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
        return (rows[:, :, None] & columns[:, None, :])[..., None]
