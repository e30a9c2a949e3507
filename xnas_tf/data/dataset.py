"""Labelled images, their splits, and checks of what a loader returns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.data.quality import Findings
from xnas_tf.data.value_scaling import Scaling
from xnas_tf.errors import InputError

_CHUNK = 2**24
"""Bytes of images that are hashed at a time."""
_IMBALANCED = 2
"""Ratio of the largest class to the smallest from which classes are called imbalanced."""


@dataclass(frozen=True)
class Split:
    """Images (N, height, width, channels) as uint8 with labels (N,) as int32.

    Images that come from image files stay on disk. Index no more than a batch at a time.
    """

    images: np.ndarray | DiskImages
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | slice) -> Batch:
        """Return the images at ``indices``, in their order, in memory."""
        return Batch(self.images[indices], self.labels[indices])

    def select(self, indices: np.ndarray | slice) -> Split:
        """Return the images at ``indices``, in their order, without reading images on disk."""
        return Split(selected(self.images, indices), self.labels[indices])


@dataclass(frozen=True)
class Batch(Split):
    """Images and labels that are in memory."""

    images: np.ndarray


def sample_images(split: Split, count: int) -> Batch:
    """Return the first images of as many different classes as possible, ordered by class."""
    _, first = np.unique(split.labels, return_index=True)
    rest = np.setdiff1d(np.arange(len(split)), first)
    return split.take(np.concatenate([first, rest])[:count])


@dataclass(frozen=True)
class Dataset:
    """A data set with its splits for training, search (validation) and final metrics (test).

    Attributes:
        name: As in the configuration.
        class_names: One name per class.
        mirrored: Whether an image and its mirror image have the same class: true for
            photographs, false for digits and letters. Controls horizontal flips.
        findings: Problems found in image files.
        how_split: Origin of the splits, for reports.
        scaling: How values were converted to uint8.
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
        """The splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, np.ndarray]:
        """Number of images of each class, (classes,), by split."""
        return {
            name: np.bincount(split.labels, minlength=self.classes)
            for name, split in self.parts.items()
        }

    @property
    def imbalance(self) -> float:
        """Ratio of the number of images of the largest class to that of the smallest."""
        totals = np.sum(list(self.counts.values()), axis=0)
        return float(totals.max() / max(1, totals.min()))

    @property
    def notes(self) -> list[str]:
        """Warnings that the user should read before training."""
        notes = [*self.findings.notes, *self.scaling.notes]
        if self.imbalance >= _IMBALANCED:
            totals = np.sum(list(self.counts.values()), axis=0)
            most, least = int(totals.argmax()), int(totals.argmin())
            notes.append(
                f"classes are imbalanced: {totals[most]:,} images of {self.class_names[most]}, "
                f"{totals[least]:,} of {self.class_names[least]} ({self.imbalance:.1f} to 1)"
            )
        return notes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def digest(self) -> str:
        """A hash of all images and labels."""
        hasher = hashlib.blake2b(digest_size=16)
        for split in self.parts.values():
            hasher.update(repr(split.images.shape).encode())
            hasher.update(np.ascontiguousarray(split.labels).data)
            for content in _content(split.images):
                hasher.update(content.data)
        return hasher.hexdigest()

    @property
    def facts(self) -> dict[str, object]:
        """Description of the data for model cards, as JSON values."""
        values = {"values": [self.scaling.low, self.scaling.high]}
        return {
            "digest": self.digest,
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "images": {name: len(split) for name, split in self.parts.items()},
            **({} if self.scaling.is_usual else values),
        }


def _content(images: np.ndarray | DiskImages) -> Iterator[np.ndarray]:
    """Yield arrays that identify images: their hashes, or the images in chunks."""
    if isinstance(images, DiskImages):
        yield images.digests
        return
    count = max(1, _CHUNK // max(1, images[:1].nbytes))
    for begin in range(0, len(images), count):
        yield np.ascontiguousarray(images[begin : begin + count])


@dataclass(frozen=True)
class Source:
    """What a loader returns: all images, and the published test split if there is one.

    Attributes:
        images: (N, height, width[, channels]); numbers of any range, see
            ``value_scaling.as_bytes``.
        labels: Class numbers from 0, (N,).
        class_names: One name per class; the numbers if None.
        test: Images and labels of the published test split, used as it is.
        mirrored: See ``Dataset``.
        groups: Group of each image, (N,) texts, empty if none; all images of a group go into the
            same split.
        parts: Split of each image, (N,): ``train``, ``validation``, ``test`` or empty.
        names: Name of each image, (N,).
        findings: Problems found in image files.
    """

    images: np.ndarray | DiskImages
    labels: np.ndarray
    class_names: tuple[str, ...] | None = None
    test: tuple[np.ndarray, np.ndarray] | None = None
    mirrored: bool = False
    groups: np.ndarray | None = None
    parts: np.ndarray | None = None
    names: Sequence[str] = ()
    findings: Findings = field(default_factory=Findings)


def check_images(images: np.ndarray | DiskImages, name: str) -> np.ndarray | DiskImages:
    """Check images (N, height, width[, channels]), and return them with four axes.

    Raises:
        InputError: If they have another rank, are empty, or are not finite real numbers.
    """
    if isinstance(images, DiskImages):
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
    """Check the labels (N,) or (N, 1) of N images, and return them as int32 of shape (N,).

    Raises:
        InputError: If they are not one integer per image, are out of range, or have fewer than
            two classes.
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
