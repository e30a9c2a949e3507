"""Images on the disk that are indexed as if they were an array."""

from __future__ import annotations

import numpy as np


class Rows:
    """Some images of a file, in any order; whatever is indexed is read then, and only that.

    Stands where an array (N, height, width, channels) of uint8 does. ``numpy.asarray`` reads
    all of it: what may be larger than memory must be indexed piece by piece.

    Args:
        stored: All images of the file, memory-mapped.
        digests: A hash of each, (M, 16) bytes, so that nothing need be read to compare.
        rows: Which of them these are; all if None.
    """

    def __init__(
        self, stored: np.ndarray, digests: np.ndarray, rows: np.ndarray | None = None
    ) -> None:
        self._stored = stored
        self._digests = digests
        self._rows = np.arange(len(stored)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, height, width, channels)."""
        return (len(self), *self._stored.shape[1:])

    @property
    def ndim(self) -> int:
        """4."""
        return self._stored.ndim

    @property
    def dtype(self) -> np.dtype:
        """uint8."""
        return self._stored.dtype

    @property
    def digests(self) -> np.ndarray:
        """A hash of each image, (N, 16) bytes."""
        return self._digests[self._rows]

    def select(self, rows: np.ndarray | slice) -> Rows:
        """Those at ``rows``, in their order, without reading them."""
        return Rows(self._stored, self._digests, self._rows[rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        return np.asarray(self._stored[self._rows[rows]])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


def selected(images: np.ndarray | Rows, rows: np.ndarray | slice) -> np.ndarray | Rows:
    """The images at ``rows``, in their order; those on the disk stay there."""
    return images.select(rows) if isinstance(images, Rows) else images[rows]
