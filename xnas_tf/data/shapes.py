"""Generated images of shapes with known masks, which serve as ground truth for attributions.

Each image shows one shape with a random position, size, rotation and contrast on textured noise,
with soft blobs as distractors. The mask is the shape's area, so it is known which pixels an
explanation should highlight.
"""

from __future__ import annotations

import numpy as np

from xnas_tf.data.dataset import Source

SIZE = 28
"""Height and width in pixels, as in mnist5k; images are grey."""
COUNT = 5000
"""Number of images, the same for each class; with the default splits, 3,000 are for training."""
SEED = 0
SHAPES = ("circle", "square", "triangle", "cross")
_RADIUS = (4.5, 8.0)
"""Range of the radius of a circle of the same area: the area does not give the class away."""
_CONTRAST = (60.0, 130.0)
"""Range of the difference in brightness between the shape and the mean of its background."""
_TEXTURES = ((28, 10.0), (14, 8.0), (7, 6.0))
"""Sizes of the grids of random values in the background, with their standard deviations."""
_BLOBS = 3


def shapes(argument: str = "") -> Source:  # noqa: ARG001 - as all loaders
    """Generate the same 5,000 28x28 images of four shapes, with their masks, on every call."""
    rng = np.random.default_rng(SEED)
    labels = rng.permutation(np.arange(COUNT) % len(SHAPES)).astype(np.int32)
    radii = rng.uniform(*_RADIUS, COUNT)
    distances = _distances(labels, radii, rng)
    sign = rng.choice([-1.0, 1.0], COUNT)
    background = _background(rng)
    # The other half of the range of brightness must have room for the contrast.
    level = 127.5 - sign * rng.uniform(0, 40, COUNT)
    background += (level - background.mean(axis=(1, 2)))[:, None, None]
    inside = (level + sign * rng.uniform(*_CONTRAST, COUNT))[:, None, None]
    inside = inside + rng.normal(0, 12, background.shape)
    opacity = np.clip(0.5 - distances, 0, 1)
    images = background + opacity * (inside - background)
    return Source(
        images.clip(0, 255).astype(np.uint8),
        labels,
        SHAPES,
        mirrored=True,
        masks=distances <= 0,
    )


def _distances(labels: np.ndarray, radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each pixel's distance to the shape's outline, negative inside, (N, H, W).

    Near a corner, outside the shape, this distance is less than the Euclidean distance.
    """
    room = 1.6 * radii  # no corner of any shape is farther from its centre
    centres = rng.uniform(room, SIZE - room, (2, len(radii)))
    angles = rng.uniform(-np.pi / 9, np.pi / 9, len(radii))
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    x = columns - centres[0, :, None, None]
    y = rows - centres[1, :, None, None]
    cosine, sine = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    x, y = cosine * x + sine * y, cosine * y - sine * x
    distances = np.empty(x.shape)
    for label, outline in enumerate((_circle, _square, _triangle, _cross)):
        own = labels == label
        distances[own] = outline(x[own], y[own], radii[own, None, None])
    return distances


def _circle(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - radius


def _square(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) - np.sqrt(np.pi) / 2 * radius


def _triangle(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """An equilateral triangle that points up; the radius of its incircle is subtracted."""
    sides = np.maximum(y, np.sqrt(3) / 2 * abs(x) - y / 2)
    return sides - np.sqrt(np.pi / (3 * np.sqrt(3))) * radius


def _cross(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Two bars, each three times as long as wide; their union covers 20/9 of half²."""
    half = np.sqrt(np.pi * 9 / 20) * radius
    longer, shorter = np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    return np.maximum(longer - half, shorter - half / 3)


def _background(rng: np.random.Generator) -> np.ndarray:
    """Return noise of several grain sizes with bright and dark soft blobs, (N, H, W)."""
    background = np.zeros((COUNT, SIZE, SIZE))
    for grid, deviation in _TEXTURES:
        coarse = rng.normal(0, deviation, (COUNT, grid, grid))
        background += coarse.repeat(SIZE // grid, axis=1).repeat(SIZE // grid, axis=2)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    for _ in range(_BLOBS):
        top, left = rng.uniform(0, SIZE, (2, COUNT, 1, 1))
        width = rng.uniform(1.2, 3.5, (COUNT, 1, 1))
        height = rng.choice([-1, 1], (COUNT, 1, 1)) * rng.uniform(40, 110, (COUNT, 1, 1))
        squares = (rows - top) ** 2 + (columns - left) ** 2
        background += height * np.exp(-squares / (2 * width**2))
    return background
