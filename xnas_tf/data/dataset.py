"""Labelled images in three parts, checked on the way in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from xnas_tf.data.disk_images import Rows, selected
from xnas_tf.data.quality import Findings
from xnas_tf.data.value_scaling import Scaling
from xnas_tf.errors import InputError

_CHUNK = 2**24
"""Bytes of images that are hashed at a time."""
_IMBALANCED = 2
"""How many times the smallest class the largest may be before it is noted."""


@dataclass(frozen=True)
class Split:
    """Images (N, height, width, channels) as uint8 with labels (N,) as int32.

    Images of image files stay on the disk and are read where they are indexed: no more than a
    batch at a time.
    """

    images: np.ndarray | Rows
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | slice) -> Split:
        """The images at ``indices``, in their order, in memory."""
        return Split(self.images[indices], self.labels[indices])

    def select(self, indices: np.ndarray | slice) -> Split:
        """The images at ``indices``, in their order; those on the disk stay there."""
        return Split(selected(self.images, indices), self.labels[indices])


def sample_images(part: Split, count: int) -> Split:
    """The first images of as many different classes as possible, in the order of classes."""
    _, first = np.unique(part.labels, return_index=True)
    rest = np.setdiff1d(np.arange(len(part)), first)
    return part.take(np.concatenate([first, rest])[:count])


@dataclass(frozen=True)
class Dataset:
    """A data set split into the parts for training, search (validation) and final figures.

    ``mirrored`` says whether an image and its mirror image mean the same class: true for
    photographs, false for digits and letters. Horizontal flips follow it. ``findings`` are those
    of image files; ``how_split`` says what decided on the parts; ``scaling`` says what the values
    were before they were stored as uint8.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mirrored: bool = False
    findings: Findings = field(default_factory=Findings)
    how_split: str = "by class"
    scaling: Scaling = field(default_factory=Scaling)

    @property
    def parts(self) -> dict[str, Split]:
        """The parts by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, np.ndarray]:
        """Images of each class, (classes,), by part."""
        return {
            name: np.bincount(part.labels, minlength=self.classes)
            for name, part in self.parts.items()
        }

    @property
    def imbalance(self) -> float:
        """How many times as many images the largest class has as the smallest."""
        totals = sum(self.counts.values())
        return float(totals.max() / max(1, totals.min()))

    @property
    def notes(self) -> list[str]:
        """What its owner should know before anything is trained on it."""
        totals = sum(self.counts.values())
        most, least = (int(place) for place in (totals.argmax(), totals.argmin()))
        notes = [*self.findings.notes, *self.scaling.notes]
        if self.imbalance >= _IMBALANCED:
            notes.append(
                f"classes are imbalanced: {totals[most]:,} images of {self.class_names[most]}, "
                f"{totals[least]:,} of {self.class_names[least]} ({self.imbalance:.1f} to 1)"
            )
        return notes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        return self.train.images.shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def digest(self) -> str:
        """Tells data sets apart: a hash of all images and labels."""
        found = hashlib.blake2b(digest_size=16)
        for part in self.parts.values():
            found.update(repr(part.images.shape).encode())
            found.update(np.ascontiguousarray(part.labels))
            for content in _content(part.images):
                found.update(content)
        return found.hexdigest()

    @property
    def facts(self) -> dict[str, object]:
        """What a model card says of the data, as JSON can hold it."""
        values = {"values": [self.scaling.low, self.scaling.high]}
        return {
            "digest": self.digest,
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "images": {name: len(part) for name, part in self.parts.items()},
            **({} if self.scaling.is_usual else values),
        }


def _content(images: np.ndarray | Rows) -> Iterator[np.ndarray]:
    """What tells images apart, piece by piece."""
    if isinstance(images, Rows):
        yield images.digests
        return
    count = max(1, _CHUNK // max(1, images[:1].nbytes))
    for begin in range(0, len(images), count):
        yield np.ascontiguousarray(images[begin : begin + count])


@dataclass(frozen=True)
class Source:
    """What a loader returns: all images, and the published test part where there is one.

    Args:
        images: (N, height, width[, channels]); numbers of any range, see ``scaling.as_bytes``.
        labels: (N,) integers from 0.
        class_names: One name a class; the numbers themselves where None.
        test: Images and labels of the published test part, kept as it is.
        mirrored: See ``Dataset``.
        groups: What each image belongs with, (N,) texts: a group is never split.
        parts: The part each image is in, (N,): ``train``, ``validation``, ``test`` or nothing.
        names: What each image is called, (N,).
        findings: Of image files.
    """

    images: np.ndarray | Rows
    labels: np.ndarray
    class_names: tuple[str, ...] | None = None
    test: tuple[np.ndarray, np.ndarray] | None = None
    mirrored: bool = False
    groups: np.ndarray | None = None
    parts: np.ndarray | None = None
    names: Sequence[str] = ()
    findings: Findings = field(default_factory=Findings)


def check_images(images: np.ndarray | Rows, name: str) -> np.ndarray | Rows:
    """Returns images with four axes, (N, height, width, channels), their values as they are.

    Raises:
        InputError: If they have another rank, are empty, or are no finite real numbers.
    """
    if isinstance(images, Rows):
        return images
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4:
        raise InputError(
            f"data set {name}: images have shape {images.shape}; allowed: "
            "(N, height, width) or (N, height, width, channels)"
        )
    if 0 in images.shape:
        raise InputError(f"data set {name}: no images, their shape is {images.shape}")
    if images.dtype.kind not in "buif":
        raise InputError(f"data set {name}: images are of type {images.dtype}, not real numbers")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(high - low):
        wrong = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        where = f" in {len(wrong)} images, the first is number {wrong[0]}" if len(wrong) else ""
        raise InputError(
            f"data set {name}: image values range from {low} to {high}{where}; allowed: finite "
            "numbers"
        )
    return images


def check_labels(
    labels: np.ndarray, count: int, class_names: tuple[str, ...] | None, name: str
) -> np.ndarray:
    """Returns labels as int32 of shape (N,).

    Raises:
        InputError: If they aren't one whole number an image, are out of range, or name
            fewer than two classes.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise InputError(
            f"data set {name}: {count} images but labels of shape {labels.shape}; "
            f"allowed: ({count},)"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"data set {name}: labels are of type {labels.dtype}, not integers")
    present = np.unique(labels)
    classes = len(class_names) if class_names else len(present)
    wrong = present[(present < 0) | (present >= classes)]
    if wrong.size:
        raise InputError(
            f"data set {name}: label {wrong[0]} is out of range; allowed: 0 to {classes - 1} "
            f"({classes} {'class names' if class_names else 'different labels'})"
        )
    if len(present) < 2:
        raise InputError(f"data set {name}: all images are of one class; at least 2 are needed")
    return labels.astype(np.int32)
