"""One encoded image: how large it is, and its pixels in the size and channels wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Of files that are taken for images."""
_GREY = ("1", "L", "LA", "La", "F")
_ORIENTATION = 0x0112
"""The EXIF tag in which a camera says how it was held."""
Encoded = Path | bytes
"""A file, or what would be in one."""


class Unreadable(Exception):
    """An image that cannot be decoded; its text says why."""


class Look(NamedTuple):
    """What the beginning of an image says of it: pixels, and whether it is stored in grey."""

    height: int
    width: int
    is_grey: bool


def look_at(encoded: Encoded) -> Look:
    """Reads the beginning of an image.

    Raises:
        Unreadable: If there is no image.
    """
    with _opened(encoded) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION, 1) > 4:  # lies on its side
            width, height = height, width
        return Look(height, width, _is_grey(image))


def read_image(encoded: Encoded, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Decodes an image; of a moving one the first picture.

    It is turned upright as its EXIF tag says, what is transparent becomes white, and it is
    stretched to ``size`` by linear interpolation over all pixels that fall into a new one.

    Args:
        encoded: The image.
        size: Height and width in pixels; its own if None.
        channels: 1 or 3.

    Returns:
        (height, width, channels), uint8.

    Raises:
        Unreadable: If it is cut off, broken or no image.
    """
    with _opened(encoded) as image:
        if size:  # JPEG decodes at a half, a quarter or an eighth in a fraction of the time
            image.draft(None, (2 * max(size), 2 * max(size)))
        upright = ImageOps.exif_transpose(image)
        return fitted(upright, size, channels)


def fitted(image: Image.Image, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """The pixels of an image in a size and channels; see ``read_image``."""
    image = _of_bytes(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if size and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, channels)


@contextmanager
def _opened(encoded: Encoded) -> Iterator[Image.Image]:
    try:
        with Image.open(BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            yield image
    except Exception as error:  # Pillow raises many kinds
        raise Unreadable(_reason(encoded, error)) from error


def _reason(encoded: Encoded, error: Exception) -> str:
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


def _of_bytes(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel; Pillow itself would cut 16 bits off at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; 8 or 16 bits are wanted")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray(np.clip(np.asarray(image) // 257, 0, 255).astype(np.uint8))
