"""Creates the "lines" data of XNAS, and computes trends of searches, for throughput.py."""

from __future__ import annotations

from collections import Counter

import numpy as np

from xnas_tf.spaces.cells import OPERATIONS, parse_genotype

KINDS = ("none", "horizontal", "vertical", "diagonal")


def lines(count: int, size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy grey images with no line, or with a horizontal, vertical or diagonal line.

    Args:
        count: Number of images; a multiple of four gives equally many of each kind.
        size: Height and width.
        seed: Seed for the noise, the positions of the lines, and the order.

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


def drift(cells: list[str], seconds: list[float]) -> tuple[float, float]:
    """Estimate how much longer the same cell takes at the end of a search than at its start.

    A search converges to other cells than it began with, so its first and last candidates cannot be
    compared directly. The first 50 candidates, one of which includes tracing, and the slowest
    hundredth are excluded.

    Args:
        cells: Genotypes in the order of training.
        seconds: The time that each cell took.

    Returns:
        A 95% interval, as a share of the mean, from a least-squares fit to how often a cell has
        each operation and to its position in the search.
    """
    counts = [Counter(parse_genotype(cell).values()) for cell in cells]
    place = np.linspace(0, 1, len(cells))
    known = np.array([[count[name] for name in OPERATIONS] for count in counts])
    used = (np.arange(len(cells)) >= 50) & (seconds <= np.quantile(seconds, 0.99))
    known, found = np.c_[known, place][used], np.array(seconds)[used]
    best, (squares,), *_ = np.linalg.lstsq(known, found)
    variance = squares / (len(found) - known.shape[1]) * np.linalg.inv(known.T @ known)[-1, -1]
    low, high = (best[-1] + np.array([-1.96, 1.96]) * np.sqrt(variance)) / found.mean()
    return float(low), float(high)
