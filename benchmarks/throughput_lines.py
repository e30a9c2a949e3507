"""The "lines" data of XNAS, for benchmarks/throughput.py."""

from __future__ import annotations

import numpy as np

KINDS = ("none", "horizontal", "vertical", "diagonal")


def lines(count: int, size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws grey images of no line, or a horizontal, vertical or diagonal one, in noise.

    Args:
        count: Number of images; a multiple of four gives equally many of each kind.
        size: Height and width.
        seed: Of the noise, of where the lines are, and of the order.

    Returns:
        uint8 images (N, size, size, 1), and their kinds (N,), shuffled.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(count) % len(KINDS))
    images = rng.normal(40.0, 20.0, (count, size, size))
    for image, kind in zip(images, kinds, strict=True):
        place = int(rng.integers(1, size - 1))
        if KINDS[kind] == "horizontal":
            image[place] += 160
        elif KINDS[kind] == "vertical":
            image[:, place] += 160
        elif KINDS[kind] == "diagonal":
            image += 160 * np.eye(size, k=place - size // 2)
    return images.clip(0, 255).astype(np.uint8)[..., None], kinds
