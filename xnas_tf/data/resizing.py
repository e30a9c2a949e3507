"""Resizes arrays of images and masks."""

from __future__ import annotations

import numpy as np
from PIL import Image

from xnas_tf.data.decoding import to_pixels
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.errors import InputError


def resized(
    images: np.ndarray | DiskImages, size: tuple[int, int] | None, channels: int | None, name: str
) -> np.ndarray | DiskImages:
    """Resize uint8 images and convert their channels, unless they come from image files.

    Raises:
        InputError: If the images of the data set ``name`` have neither 1 nor 3 channels.
    """
    _, *own, depth = images.shape
    if isinstance(images, DiskImages) or (size in (None, tuple(own)) and channels in (None, depth)):
        return images
    if depth not in (1, 3):
        raise InputError(
            f"data set {name}: size and channels need images with 1 or 3 channels; these have "
            f"{depth}"
        )
    plain = images[..., 0] if depth == 1 else images
    height, width = size or own
    found = np.empty((len(images), height, width, channels or depth), np.uint8)
    for number, each in enumerate(plain):  # no list, which would need the memory twice
        found[number] = to_pixels(Image.fromarray(each), size, channels or depth)
    return found


def resized_masks(masks: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Resize masks (N, height, width): a pixel is inside if more than half of it is."""
    if size is None or size == masks.shape[1:]:
        return masks
    found = np.empty((len(masks), *size), bool)
    for number, mask in enumerate(masks):
        level = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
        found[number] = to_pixels(level, size, 1)[..., 0] > 127
    return found
