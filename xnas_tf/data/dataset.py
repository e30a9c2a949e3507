"""Labelled images and their splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.data.quality import Findings, join_names
from xnas_tf.data.value_scaling import Scaling, chunks
from xnas_tf.data.watermark import Bug
from xnas_tf.utils.markup import short_repr

_IMBALANCED = 2
"""A warning is given if the largest class is at least this many times the smallest."""


@dataclass(frozen=True, repr=False)
class Split:
    """Images (N, height, width, channels) as uint8 with labels (N,) as int32.

    Images that come from files stay on disk. Index at most one batch at a time. ``masks`` (N,
    height, width), bool, are true at pixels that show the class, or None if unknown.
    """

    images: np.ndarray | DiskImages
    labels: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return short_repr(self, images=tuple(self.images.shape), labels=self.labels.shape)

    def take(self, indices: np.ndarray | slice) -> Batch:
        """Load the images at ``indices`` into memory, in that order."""
        return Batch(self.images[indices], self.labels[indices], self._masks_at(indices))

    @property
    def names(self) -> list[str]:
        """Name of each image, (N,), such as its file's; empty if not from image files."""
        return self.images.names if isinstance(self.images, DiskImages) else []

    def select(self, indices: np.ndarray | slice) -> Split:
        """Select the images at ``indices``, in that order, without reading images from disk."""
        images = selected(self.images, indices)
        return Split(images, self.labels[indices], self._masks_at(indices))

    def _masks_at(self, indices: np.ndarray | slice) -> np.ndarray | None:
        return None if self.masks is None else self.masks[indices]


@dataclass(frozen=True, repr=False)
class Batch(Split):
    """Images and labels in memory."""

    images: np.ndarray


def sample(split: Split, count: int) -> Split:
    """Select the first image of each class, then the second of each, and so on, up to ``count``."""
    return split.select(np.lexsort((split.labels, index_in_class(split.labels)))[:count])


def sample_images(split: Split, count: int) -> Batch:
    """Load the images that ``sample`` selects."""
    return sample(split, count).take(slice(None))


def index_in_class(labels: np.ndarray) -> np.ndarray:
    """Return how many images of its class come before each image, (N,)."""
    order = np.argsort(labels, kind="stable")
    index = np.empty(len(labels), np.int64)
    index[order] = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return index


@dataclass(frozen=True, repr=False)
class Dataset:
    """A data set, split for training, for the search (validation) and for final metrics (test).

    Attributes:
        name: As in the configuration.
        class_names: One name per class.
        mirrored: Whether an image and its mirror image belong to the same class: true for
            photographs, false for digits and letters. Controls horizontal flips.
        findings: Problems found in image files.
        how_split: How the splits were made, for reports.
        scaling: How values were converted to uint8.
        bug: The bug planted in the training images.
        source_shape: Shape of the images before they were resized; None for image files, whose
            sizes are in ``findings``.
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
    bug: Bug | None = None
    source_shape: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        shown = {"image_shape": self.image_shape, **self._sizes}
        return short_repr(self, name=self.name, classes=self.classes, **shown)

    @property
    def parts(self) -> dict[str, Split]:
        """The splits, by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def _sizes(self) -> dict[str, int]:
        return {name: len(split) for name, split in self.parts.items()}

    @property
    def counts(self) -> dict[str, np.ndarray]:
        """Number of images per class, (classes,), for each split."""
        pairs = self.parts.items()
        return {name: np.bincount(split.labels, minlength=self.classes) for name, split in pairs}

    @property
    def imbalance(self) -> float:
        """The size of the largest class divided by the size of the smallest."""
        return float(self._totals.max() / max(1, self._totals.min()))

    @property
    def _totals(self) -> np.ndarray:
        return np.sum(list(self.counts.values()), axis=0)

    @property
    def notes(self) -> list[str]:
        """Warnings to read before training."""
        notes = [*self.findings.notes, *self.scaling.notes, *self._class_notes()]
        notes += [self._bug_note(self.bug)] if self.bug else []
        if self.imbalance >= _IMBALANCED:
            totals = self._totals
            most, least = int(totals.argmax()), int(totals.argmin())
            notes.append(
                f"classes are imbalanced: {totals[most]:,} images of {self.class_names[most]}, "
                f"{totals[least]:,} of {self.class_names[least]} ({self.imbalance:.1f} to 1)"
            )
        return notes

    def _bug_note(self, bug: Bug) -> str:
        name = self.class_names[bug.target]
        if not bug.images:
            return "dataset.bug: no training image carries the watermark (share 0, a control)"
        carry = f"{bug.images:,} training images carry a watermark"
        if bug.kind == "watermark":
            return f"dataset.bug: {carry}, all of them of class {name}"
        return f"dataset.bug: {carry} and are wrongly labelled {name}"

    def _class_notes(self) -> Iterator[str]:
        totals = self._totals
        if not totals.all():
            yield f"classes without images: {self._names(totals == 0)}"
        for name, counts in self.counts.items():
            missing = (counts == 0) & (totals > 0)
            if missing.any():
                yield f"no images in {name} of the classes {self._names(missing)}"
        alike = defaultdict(list)
        for name in self.class_names:
            alike["".join(name.split()).casefold()].append(name)
        for names in alike.values():
            if len(names) > 1:
                yield f"classes whose names differ only in case or spaces: {join_names(names)}"

    def _names(self, chosen: np.ndarray) -> str:
        return join_names(self.class_names[number] for number in np.flatnonzero(chosen).tolist())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, (height, width, channels)."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def digest(self) -> str:
        """A hash of all images, labels and masks."""
        hasher = hashlib.blake2b(digest_size=16)
        for split in self.parts.values():
            hasher.update(repr(split.images.shape).encode())
            hasher.update(np.ascontiguousarray(split.labels).data)
            if isinstance(split.images, DiskImages):
                hasher.update(split.images.digests.data)
            else:
                for rows in chunks(split.images):
                    hasher.update(np.ascontiguousarray(split.images[rows]).data)
            if split.masks is not None:
                hasher.update(np.packbits(split.masks).data)
        return hasher.hexdigest()

    @property
    def facts(self) -> dict[str, object]:
        """A description of the data for model cards, as JSON values."""
        values = {"values": [self.scaling.low, self.scaling.high]}
        return {
            "digest": self.digest,
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "images": self._sizes,
            **({} if self.scaling.is_usual else values),
        }


@dataclass(frozen=True)
class Source:
    """The data returned by a loader: all images, and the published test split if there is one.

    Attributes:
        images: Images, (N, height, width[, channels]), with numbers in any range; see
            ``value_scaling.as_bytes``.
        labels: Labels, (N,), (N, 1) or one-hot (N, classes): class numbers from 0, or any labels
            that ``labels.encode`` can convert to class numbers.
        class_names: One name per class; if None, the labels are used as names.
        test: Images and labels of the published test split, which is used unchanged.
        mirrored: See ``Dataset``.
        groups: Each image's group as text, (N,), or an empty string; all images of a group go into
            the same split.
        parts: Split of each image, (N,): ``train``, ``validation``, ``test`` or empty.
        names: Name of each image, (N,).
        findings: Problems found in image files.
        validation: Images and labels of the published validation split, which is used unchanged.
        masks: (N, height, width), nonzero at pixels that show the image's class. Masks require
            splits that are drawn or given as ``parts``, because published splits have none.
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
    validation: tuple[np.ndarray, np.ndarray] | None = None
    masks: np.ndarray | None = None
