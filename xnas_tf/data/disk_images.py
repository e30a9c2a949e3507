"""Images on disk that can be indexed like an array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class DiskImages:
    """Selected images of a file, in any order. An image is read when it is indexed.

    The images can be used like a uint8 array (N, height, width, channels). ``numpy.asarray`` reads
    all images, which may not fit into memory.

    Args:
        stored: All M images of the file, memory-mapped.
        digests: A hash of each image, (M, 16) bytes, to compare images without reading them.
        rows: Indices of the images in the file, (N,); all if None.
        listing: An ``npz`` file with the ``names`` of the M images, (M,); None if they have none.
    """

    def __init__(
        self,
        stored: np.ndarray,
        digests: np.ndarray,
        rows: np.ndarray | None = None,
        listing: Path | None = None,
    ) -> None:
        self._stored = stored
        self._digests = digests
        self._listing = listing
        self._rows = np.arange(len(stored)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, height, width, channels)."""
        return (len(self), *self._stored.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes, 4."""
        return self._stored.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, uint8."""
        return self._stored.dtype

    @property
    def digests(self) -> np.ndarray:
        """A hash of each image, (N, 16) bytes."""
        return self._digests[self._rows]

    @property
    def names(self) -> list[str]:
        """Name of each image, (N,), read from disk each time; empty if they have none."""
        if self._listing is None:
            return []
        with np.load(self._listing) as listing:
            names: list[str] = listing["names"][self._rows].tolist()
        return names

    def select(self, rows: np.ndarray | slice) -> DiskImages:
        """Select the images at ``rows``, in that order, without reading them."""
        return DiskImages(self._stored, self._digests, self._rows[rows], self._listing)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        return np.asarray(self._stored[self._rows[rows]])

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


def selected(images: np.ndarray | DiskImages, rows: np.ndarray | slice) -> np.ndarray | DiskImages:
    """Select the images at ``rows``, in that order, without reading images from disk."""
    return images.select(rows) if isinstance(images, DiskImages) else images[rows]
