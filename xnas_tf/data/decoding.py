"""Decodes images into pixels of a given size and number of channels, and resizes arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.errors import InputError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
"""Suffixes of image files. Other files are recognised as images by their content."""
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Pillow formats that are read. Other formats lack a reliable signature or run other programs."""
_DEPTHS = (1, 8, 10, 12, 14, 16)
"""Usual numbers of bits per value in images that store values in 16 or 32 bits."""
DARK = 8
"""An image is dark if the highest value of other images is more than this many times its own."""
_GREY = ("1", "L", "LA", "La", "F")
"""Pillow's modes for images without colour, besides those that begin with ``I``."""
_ORIENTATION = 0x0112
"""EXIF tag of the camera's orientation."""
Encoded = Path | bytes | np.ndarray
"""An image file, its content, or its pixels as uint8, (height, width) or (height, width, 3)."""


class Unreadable(Exception):
    """An image that cannot be decoded; the message gives the reason."""


class Look(NamedTuple):
    """Properties of an image that are known before it is decoded."""

    height: int
    width: int
    is_grey: bool
    """Whether the image is stored without colour."""
    is_animated: bool = False
    """Whether the image has several frames."""
    mode: str = "RGB"
    """Pillow's mode, but the same for any order of bytes."""
    highest: int = 0
    """The highest value of an image with more than 8 bits; 0 for other images."""
    is_array: bool = False
    """Whether the image is given by its pixels, so that nothing is decoded."""


def look_at(encoded: Encoded) -> Look:
    """Read the header of an image, and its values if they have more than 8 bits."""
    if isinstance(encoded, np.ndarray):
        return Look(encoded.shape[0], encoded.shape[1], encoded.ndim == 2, is_array=True)
    with _opened(encoded) as image:
        width, height = image.size
        # Rotated by 90 degrees. Pillow gives the size of a TIFF image after its rotation.
        if image.getexif().get(_ORIENTATION, 1) > 4 and image.format != "TIFF":
            width, height = height, width
        # A photograph in MPO format also has frames: smaller copies, or the view of the other eye.
        is_animated = image.format != "MPO" and getattr(image, "is_animated", False)
        highest = int(_deep_values(image).max()) if image.mode.startswith("I") else 0
        return Look(height, width, _is_grey(image), is_animated, _mode(image), highest)


def is_image(file: Path) -> bool:
    """Return whether a file is an image, judging by its suffix or its content."""
    if file.suffix.lower() in SUFFIXES:
        return True
    try:
        with _opened(file):
            return True
    except Unreadable:
        return False


def full_scales(looks: Iterable[Look]) -> dict[str, int]:
    """Return, by mode, the value that becomes 255 in images with more than 8 bits.

    This is the highest value of the smallest common bit depth that covers all images of the mode,
    such as 4095 for 12 bits.
    """
    highest: dict[str, int] = {}
    for look in looks:
        if look.mode.startswith("I"):
            highest[look.mode] = max(look.highest, highest.get(look.mode, 0))
    return {mode: _full_scale(value) for mode, value in highest.items()}


def _full_scale(highest: int) -> int:
    bits = highest.bit_length()
    return (1 << next((depth for depth in _DEPTHS if depth >= bits), bits)) - 1


def read_image(
    encoded: Encoded,
    size: tuple[int, int] | None,
    channels: int,
    scales: Mapping[str, int] | None = None,
) -> np.ndarray:
    """Decode an image, or the first frame of an animation, to (height, width, channels), uint8.

    The image is rotated according to its EXIF tag, transparent pixels become white, and the image
    is resized to ``size`` (height and width), if given, by bilinear interpolation. ``scales`` are
    those of ``full_scales``, by default of this image alone.
    """
    if isinstance(encoded, np.ndarray):
        return to_pixels(Image.fromarray(encoded), size, channels)
    with _opened(encoded) as image:
        if size:  # JPEG decodes at 1/2, 1/4 or 1/8 of its size in a fraction of the time
            image.draft(None, (2 * max(size), 2 * max(size)))
        upright = ImageOps.exif_transpose(image)
        return to_pixels(upright, size, channels, scales)


def to_pixels(
    image: Image.Image,
    size: tuple[int, int] | None,
    channels: int,
    scales: Mapping[str, int] | None = None,
) -> np.ndarray:
    """Resize an image and convert its channels; see ``read_image``."""
    image = _with_8_bits(image, scales or {})
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if size and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, channels)


def resized(
    images: np.ndarray | DiskImages, size: tuple[int, int] | None, channels: int | None, name: str
) -> np.ndarray | DiskImages:
    """Resize uint8 images and convert their channels, of which there must be 1 or 3.

    Images from image files are unchanged. ``name`` is the data set's, for messages.
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
    found = np.empty((len(images), *(size or own), channels or depth), np.uint8)
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


@contextmanager
def _opened(encoded: Path | bytes) -> Iterator[Image.Image]:
    try:
        # Given a path, Pillow maps some TIFF files into memory, and garbles those that are rotated.
        file = BytesIO(encoded) if isinstance(encoded, bytes) else encoded.open("rb")
        with file, Image.open(file, formats=_formats()) as image:
            yield image
    except Exception as error:  # Pillow raises many types
        raise Unreadable(_reason(encoded, error)) from error


def _reason(encoded: Path | bytes, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "may not be read"
    if isinstance(error, OSError) and error.strerror:  # not from Pillow
        return error.strerror
    length = len(encoded) if isinstance(encoded, bytes) else encoded.stat().st_size
    if length == 0:
        return "empty"
    return "no image" if isinstance(error, UnidentifiedImageError) else str(error).splitlines()[0]


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
        return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY or image.mode.startswith("I")


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _mode(image: Image.Image) -> str:
    """Return Pillow's mode; ``I;16`` also stands for 16 bits in another order of bytes."""
    return "I;16" if image.mode.startswith("I;16") else image.mode


def _deep_values(image: Image.Image) -> np.ndarray:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0:
        raise ValueError("it has negative values; wanted: 8 or 16 bits, unsigned")
    return values


def _with_8_bits(image: Image.Image, scales: Mapping[str, int]) -> Image.Image:
    """Return an image with 8 bits per channel; Pillow would clip 16-bit values at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; wanted: 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = _deep_values(image)
    top = scales.get(_mode(image)) or _full_scale(int(values.max()))
    return Image.fromarray(np.clip(values * 255 // top, 0, 255).astype(np.uint8))
