"""Checks the data that a loader returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xnas_tf.data.dataset import Source
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.data.image_list import split_names
from xnas_tf.data.labels import encode, one_per_image
from xnas_tf.errors import InputError
from xnas_tf.utils.number_format import counted

_MOST_CHANNELS = 4
"""Usual numbers of channels; arrays with another last axis may have channels first."""


def checked(source: Source, name: str) -> tuple[Source, tuple[str, ...]]:
    """Check that a source suits classification, and return it with the class names.

    The images of published validation and test splits are appended to the others.
    """
    published = {"validation": source.validation, "test": source.test}
    given = {"": (source.images, source.labels)}
    given |= {part: pair for part, pair in published.items() if pair is not None}
    images, labels, remarks = {}, {}, [*source.findings.remarks]
    for part, pair in given.items():
        where = f"{name} ({part})" if part else name
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(
                f"data set {where} is a {type(pair).__name__}; allowed: (images, labels)"
            )
        each, own = pair
        images[part], remark = channels_last(check_images(each, where))
        labels[part], more = one_per_image(own, len(images[part]), f"data set {where}")
        remarks += [*remark, *(more if not part else [])]
    encoded = encode(labels, source.class_names, f"data set {name}")
    counts = {part: len(each) for part, each in images.items()}
    found = replace(
        source,
        images=_joined(images, name),
        labels=np.concatenate(list(encoded.numbers.values())),
        parts=_parts(source.parts, counts, name),
        groups=_groups(source.groups, counts, name),
        masks=_masks(source.masks, images, name),
        names=_names(source.names, counts, name),
        findings=replace(
            source.findings, remarks=tuple(dict.fromkeys([*remarks, *encoded.remarks]))
        ),
    )
    return found, encoded.class_names


def _joined(images: dict[str, np.ndarray | DiskImages], name: str) -> np.ndarray | DiskImages:
    first, *others = images.values()
    for part, each in images.items():
        if each.shape[1:] != first.shape[1:]:
            raise InputError(
                f"data set {name}: {part} images are {each.shape[1:]}, the others {first.shape[1:]}"
            )
    return np.concatenate([first, *others]) if others else first


def _parts(parts: np.ndarray | None, counts: dict[str, int], name: str) -> np.ndarray | None:
    published = np.repeat(list(counts), list(counts.values()))
    if parts is None:
        return published if len(counts) > 1 else None
    parts = np.asarray(parts)
    if parts.shape != (counts[""],) or parts.dtype.kind not in "UT":
        raise InputError(
            f"data set {name}: parts are {parts.dtype} of shape {parts.shape}; allowed: train, "
            f"validation, test or nothing for each of the {counts['']} images"
        )
    texts, numbers = np.unique(parts, return_inverse=True)
    own = split_names(map(str, texts), f"data set {name}, parts")[numbers]
    return np.concatenate([own, published[len(own) :]])


def _groups(groups: np.ndarray | None, counts: dict[str, int], name: str) -> np.ndarray | None:
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (counts[""],):
        raise InputError(f"data set {name}: groups of shape {groups.shape} for {counts['']} images")
    others = sum(counts.values()) - counts[""]
    texts = ["" if each is None or each != each else str(each) for each in groups.tolist()]
    return np.array([*texts, *[""] * others])


def _names(names: Sequence[str], counts: dict[str, int], name: str) -> list[str]:
    """Return a name for each image, also of published splits; empty if there are no names."""
    if not len(names):
        return []
    if len(names) != counts[""]:
        raise InputError(f"data set {name}: {len(names)} names for {counts['']} images")
    published = [f"{part}[{row}]" for part, n in counts.items() if part for row in range(n)]
    return [*map(str, names), *published]


def _masks(
    masks: np.ndarray | None, images: dict[str, np.ndarray | DiskImages], name: str
) -> np.ndarray | None:
    """Check masks (N, height, width), and return them as booleans."""
    if masks is None:
        return None
    if len(images) > 1:
        raise InputError(
            f"data set {name}: masks, and published splits, which have none; allowed: all images "
            "in one array, with the split of each in parts"
        )
    wanted = images[""].shape[:3]
    masks = np.asarray(masks)
    if masks.shape != wanted or masks.dtype.kind not in "buif":
        raise InputError(
            f"data set {name}: masks are {masks.dtype} of shape {masks.shape}; allowed for these "
            f"images: numbers of shape {wanted}, nonzero at the pixels that show the class"
        )
    bad = np.flatnonzero(~np.isfinite(masks).all(axis=(1, 2)))
    if len(bad):
        raise InputError(
            f"data set {name}: masks are NaN or infinite in {len(bad)} images, the first of them "
            f"number {bad[0]}; allowed: finite numbers, 0 outside the object"
        )
    return masks != 0


def check_images(images: np.ndarray | DiskImages, name: str) -> np.ndarray | DiskImages:
    """Check images (N, height, width[, channels]), and return them with four axes.

    Their values must be finite real numbers, and there must be at least one image.
    """
    if isinstance(images, DiskImages):
        return images
    if np.ma.is_masked(images):
        raise InputError(f"data set {name}: images have masked values; fill them first")
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise InputError(f"data set {name}: images differ in shape: {error}") from error
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4:
        raise InputError(
            f"data set {name}: images have shape {images.shape}; allowed: "
            "(N, height, width) or (N, height, width, channels)"
        )
    if 0 in images.shape:
        raise InputError(f"data set {name}: no images: their shape is {images.shape}")
    if images.dtype.kind not in "buif":
        raise InputError(f"data set {name}: images are of type {images.dtype}, not real numbers")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(high - low):
        what = f"image values range from {low} to {high}"
        if (wrong := np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))).size:
            count = counted(len(wrong), "image")
            what = f"NaN or infinite values in {count}, first in image {wrong[0]}"
        raise InputError(f"data set {name}: {what}; allowed: finite numbers")
    return images


def channels_last(
    images: np.ndarray | DiskImages,
) -> tuple[np.ndarray | DiskImages, list[str]]:
    """Return images as (N, H, W, C), with a note if channels came first, as in (N, C, H, W).

    If there are one, three or four, they are moved. Another number may also be the height of images
    with many channels; the note then only says how the images are read.
    """
    first, *rest = shape = images.shape[1:]
    if isinstance(images, DiskImages) or min(rest) <= max(first, _MOST_CHANNELS):
        return images, []
    if first in (1, 3, 4):
        images = np.moveaxis(images, 1, -1)
        return images, [f"images of shape {shape} are read as channels first: {images.shape[1:]}"]
    height, width, depth = shape
    return images, [
        f"images of shape {shape} are read as {height}x{width} pixels with {depth} "
        "channels; if channels come first, move them to the last axis"
    ]
