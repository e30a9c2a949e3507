"""Decodes single images into pixels of a given size and number of channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Suffixes of image files."""
_GREY = ("1", "L", "LA", "La", "F")
"""Pillow's modes of images without colour; those that begin with ``I`` are too."""
_ORIENTATION = 0x0112
"""The EXIF tag of the camera's orientation."""
Encoded = Path | bytes | np.ndarray
"""An image file, its content, or its pixels as uint8, (height, width) or (height, width, 3)."""


class Unreadable(Exception):
    """An image cannot be decoded; the message says why."""


class Look(NamedTuple):
    """Height and width of an image in pixels, and whether it is stored without colour."""

    height: int
    width: int
    is_grey: bool


def look_at(encoded: Encoded) -> Look:
    """Return the size of an image, which is read from its header.

    Raises:
        Unreadable: If it is not an image.
    """
    if isinstance(encoded, np.ndarray):
        return Look(encoded.shape[0], encoded.shape[1], encoded.ndim == 2)
    with _opened(encoded) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION, 1) > 4:  # rotated by 90 degrees
            width, height = height, width
        return Look(height, width, _is_grey(image))


def read_image(encoded: Encoded, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Decode an image, or the first frame of an animation, to (height, width, channels), uint8.

    The image is rotated according to its EXIF tag, transparent pixels become white, and it is
    resized to ``size`` (height and width), if given, by bilinear interpolation.

    Raises:
        Unreadable: If the image is truncated or broken, or not an image.
    """
    if isinstance(encoded, np.ndarray):
        return to_pixels(Image.fromarray(encoded), size, channels)
    with _opened(encoded) as image:
        if size:  # JPEG decodes at 1/2, 1/4 or 1/8 of its size in a fraction of the time
            image.draft(None, (2 * max(size), 2 * max(size)))
        upright = ImageOps.exif_transpose(image)
        return to_pixels(upright, size, channels)


def to_pixels(image: Image.Image, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Return the pixels of an image in a size and number of channels; see ``read_image``."""
    image = _with_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if size and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, channels)


@contextmanager
def _opened(encoded: Path | bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            yield image
    except Exception as error:  # Pillow raises many kinds
        raise Unreadable(_reason(encoded, error)) from error


def _reason(encoded: Path | bytes, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "may not be read"
    length = len(encoded) if isinstance(encoded, bytes) else encoded.stat().st_size
    if length == 0:
        return "empty"
    return "no image" if isinstance(error, UnidentifiedImageError) else str(error).splitlines()[0]


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
        return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY or image.mode.startswith("I")


def _with_8_bits(image: Image.Image) -> Image.Image:
    """Return an image with 8 bits per channel; Pillow would clip 16-bit values at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; 8 or 16 bits are wanted")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(np.clip(np.asarray(image) // 257, 0, 255).astype(np.uint8))
