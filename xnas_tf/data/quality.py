"""Problems found in image files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from xnas_tf.utils.image_size import size_text

LISTED = 20
"""Maximum number of names in a message."""
_OF_A_GROUP = 5
"""Maximum number of identical images to name."""


@dataclass(frozen=True)
class Findings:
    """Problems found in the images of a data set. Names are those of files or records.

    Attributes:
        unreadable: By name, why an image cannot be decoded; it is left out.
        grey: Images without colour, if others have colour.
        is_all_grey: Whether no image has colour, although all are stored with colour.
        odd: By name, height and width of images whose shape differs so much from the usual one
            that they are stretched by more than half.
        empty: Classes without images; they are left out.
        identical: Groups of images that are equal pixel by pixel, but are in several splits or
            classes.
        ignored: Number of files that are no images.
        sizes: Height and width of the smallest, the median and the largest image.
        different_sizes: Number of different sizes.
        remarks: Notes of the loader on the files.
        left_out: By reason, names of files and folders that are left out.
        animated: Images with several frames, of which the first is used.
        blank: Images whose pixels are all the same.
        dark: By name, why images of more than 8 bits have low values only.
        repeated: Number of images that are equal to another one of their split and class.
        highest: The highest value of all images.
    """

    unreadable: dict[str, str] = field(default_factory=dict)
    grey: Sequence[str] = ()
    is_all_grey: bool = False
    odd: dict[str, tuple[int, int]] = field(default_factory=dict)
    empty: Sequence[str] = ()
    identical: Sequence[Sequence[str]] = ()
    ignored: int = 0
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    different_sizes: int = 1
    remarks: Sequence[str] = ()
    left_out: dict[str, Sequence[str]] = field(default_factory=dict)
    animated: Sequence[str] = ()
    blank: Sequence[str] = ()
    dark: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    highest: int = 255

    @property
    def problems(self) -> list[tuple[str, str]]:
        """The kind of each problem, and the file, class or files concerned with details."""
        kinds = {
            "unreadable and left out": [f"{name} ({why})" for name, why in self.unreadable.items()],
            "class without images, left out": self.empty,
            "without colour, among coloured ones": self.grey,
            "of an odd shape, stretched by more than half": [
                f"{name} ({size_text(*size)})" for name, size in self.odd.items()
            ],
            "identical, but in several splits or classes": [
                join_names(names, _OF_A_GROUP, " = ") for names in self.identical
            ],
            "of several frames, the first is used": self.animated,
            "of a single colour": self.blank,
            "darker than the others": [f"{name} ({why})" for name, why in self.dark.items()],
            **self.left_out,
        }
        return [(kind, text) for kind, texts in kinds.items() for text in texts]

    @property
    def problem_notes(self) -> list[str]:
        """One text per kind of problem, with the names."""
        found: dict[str, list[str]] = defaultdict(list)
        for kind, name in self.problems:
            found[kind].append(name)
        return [f"{kind} ({len(names)}): {join_names(names)}" for kind, names in found.items()]

    @property
    def notes(self) -> list[str]:
        """All texts for the user: on the problems, and others."""
        notes = [*self.problem_notes, *self.remarks]
        if self.is_all_grey:
            notes.append("stored with colour, but without any: dataset.channels: 1 is enough")
        if self.repeated:
            notes.append(f"images equal to another one of their split and class: {self.repeated}")
        return notes


def join_names(names: Iterable[str], most: int = LISTED, between: str = ", ") -> str:
    """Join the first names, and add how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def digests_of(images: np.ndarray) -> np.ndarray:
    """Return a hash of each image, (N, 16) bytes, for images (N, …) in memory."""
    hashes = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)


def identical(
    digests: np.ndarray, owners: np.ndarray, names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Return the names of groups of identical images with different owners.

    Args:
        digests: A hash of each image, (N, 16) bytes.
        owners: Split and class of each image, (N, 2), which must be the same in a group.
        names: Name of each image, (N,).
    """
    _, kinds, counts = np.unique(
        np.ascontiguousarray(digests).view("S16").ravel(), return_inverse=True, return_counts=True
    )
    groups: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(counts[kinds] > 1).tolist():
        groups[kinds[row]].append(row)
    return tuple(
        tuple(names[row] for row in rows)
        for rows in groups.values()
        if (owners[rows] != owners[rows[0]]).any()
    )


def repeated(digests: np.ndarray, owners: np.ndarray) -> int:
    """Return how many images are equal to an earlier one with the same owner; see ``identical``."""
    rows = np.concatenate([owners.astype(np.int32).view(np.uint8), digests], axis=1)
    return len(rows) - len(np.unique(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")))
