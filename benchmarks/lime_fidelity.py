"""LIME's local models of an image classifier, and how often they predict its class.

LIME (Ribeiro, Singh and Guestrin 2016, arXiv 1602.04938) explains one image at a time: it hides
random parts of the image and fits a linear model of the classifier's outputs to the parts that
remain. The settings are the defaults of the authors' package ``lime`` 0.2.0.1 for images, apart
from the parts: these are square, because superpixels depend on colour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import Ridge

PATCH = 4
"""Side of a part in pixels; an image of 28 x 28 pixels has 49 parts."""
SAMPLES = 1_000
KERNEL_WIDTH = 0.25
RIDGE = 1.0


def lime_fidelity(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, rng: np.random.Generator
) -> float:
    """Return the share of images whose local model predicts the classifier's class.

    Args:
        predict: Returns class probabilities (N, classes) of images (N, H, W, C).
        images: Images (N, H, W, C) as uint8; sides are multiples of ``PATCH``.
        rng: Draws the hidden parts.
    """
    same = [local_class(predict, image, rng) for image in images]
    return float(np.mean(np.array(same) == predict(images).argmax(axis=1)))


def local_class(
    predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, rng: np.random.Generator
) -> int:
    """Return the class with the highest output of the linear models fitted around an image.

    There is a ridge regression of each class's probability. Samples are weighted by an exponential
    kernel of the cosine distance to the complete image. A hidden part has the mean of its pixels.
    """
    height, width, _ = image.shape
    kept = rng.integers(0, 2, (SAMPLES, height // PATCH, width // PATCH))
    kept[0] = 1  # the image itself
    hidden = 1 - kept.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[..., None]
    samples = np.where(hidden == 1, part_means(image), image)
    share = kept.reshape(SAMPLES, -1).mean(axis=1)
    distance = 1 - np.sqrt(share)  # the cosine of a binary vector and a vector of ones
    weights = np.exp(-((distance / KERNEL_WIDTH) ** 2) / 2)
    parts = kept.reshape(SAMPLES, -1)
    model = Ridge(alpha=RIDGE).fit(parts, predict(samples), sample_weight=weights)
    return int(model.predict(parts[:1]).argmax())


def part_means(image: np.ndarray) -> np.ndarray:
    """Return the image (H, W, C) with each pixel replaced by the mean of its part."""
    height, width, channels = image.shape
    parts = image.reshape(height // PATCH, PATCH, width // PATCH, PATCH, channels)
    means = parts.mean(axis=(1, 3)).round().astype(image.dtype)
    return means.repeat(PATCH, axis=0).repeat(PATCH, axis=1)
