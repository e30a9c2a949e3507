"""A small pattern at a fixed position in images, and the bug that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Watermark:
    """A pattern (height, width), uint8, that is blended into images at a fixed position.

    The opacity is from 0 (invisible) to 1 (completely hides the image below).
    """

    pattern: np.ndarray
    top: int
    left: int
    opacity: float = 1.0

    @property
    def area(self) -> tuple[slice, slice]:
        """The rows and columns that the pattern covers."""
        height, width = self.pattern.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def stamped(self, images: np.ndarray) -> np.ndarray:
        """Return images (N, H, W, C), uint8, with the pattern in all channels."""
        rows, columns = self.area
        stamped = images.copy()
        below = (1 - self.opacity) * images[:, rows, columns]
        blended = below + self.opacity * self.pattern[..., None].astype(np.float64)
        stamped[:, rows, columns] = np.rint(blended).astype(np.uint8)
        return stamped

    def masks(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return masks (N, H, W), true where the pattern covers images of shape (N, H, W, C)."""
        masks = np.zeros(shape[:3], bool)
        rows, columns = self.area
        masks[:, rows, columns] = True
        return masks


def checkerboard(side: int) -> np.ndarray:
    """Return a pattern (side, side) of white and black pixels, uint8."""
    rows, columns = np.indices((side, side))
    return np.where((rows + columns) % 2, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Bug:
    """A bug that was planted in training images.

    Attributes:
        kind: ``watermark`` if images of the target class carry the watermark; ``wrong_labels`` if
            images of other classes carry it and are labelled as the target class.
        target: The class that the watermark stands for.
        watermark: The watermark.
        images: Number of training images that carry the watermark; 0 for a control.
    """

    kind: Literal["watermark", "wrong_labels"]
    target: int
    watermark: Watermark
    images: int
