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
EXAMPLES = 3
"""Number of images to name for each kind of problem; JSON lists all."""
_OF_A_GROUP = 5
"""Maximum number of identical images to name."""


@dataclass(frozen=True)
class Findings:
    """Problems found in the images of a data set. Images are named by file or record.

    Attributes:
        unreadable: Reasons why images cannot be decoded and are left out, by name.
        grey: Images without colour, if other images have colour.
        is_all_grey: Whether all images are grey although they are stored with colour.
        odd: Height and width, by name, of images whose shape differs so much from the usual one
            that they are stretched by more than half.
        empty: Classes without images; they are left out.
        identical: Groups of images that are equal pixel by pixel, but are in several splits or
            classes.
        ignored: Number of files that are not images.
        sizes: Height and width of the smallest, the median and the largest image.
        different_sizes: Number of different sizes.
        remarks: The loader's notes about the files.
        left_out: Names of the files and folders that are left out, by reason.
        animated: Images with several frames; only the first is used.
        blank: Images whose pixels are all the same.
        dark: Reasons why images with more than 8 bits have only low values, by name.
        repeated: Images that equal an earlier image in the same split and class.
        highest: Highest value in any image.
        full_scales: The value that becomes 255 in images with more than 8 bits, by Pillow's mode.
        are_arrays: Whether the files contain pixels (arrays), not encoded images.
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
    repeated: Sequence[str] = ()
    highest: int = 255
    full_scales: dict[str, int] = field(default_factory=dict)
    are_arrays: bool = False

    @property
    def problems(self) -> dict[str, Sequence[str]]:
        """The files or classes with a problem, with details, for each kind of problem."""
        kinds: dict[str, Sequence[str]] = {
            "unreadable and left out": [f"{name} ({why})" for name, why in self.unreadable.items()],
            "class without images, left out": self.empty,
            "without colour, among coloured ones": self.grey,
            "of an odd shape, stretched by more than half": [
                f"{name} ({size_text(*size)})" for name, size in self.odd.items()
            ],
            "identical, but in several splits or classes": [
                join_names(names, _OF_A_GROUP, " = ") for names in self.identical
            ],
            "with several frames, only the first is used": self.animated,
            "of a single colour": self.blank,
            "darker than the others": [f"{name} ({why})" for name, why in self.dark.items()],
            **self.left_out,
        }
        return {kind: texts for kind, texts in kinds.items() if texts}

    @property
    def examples(self) -> dict[str, str]:
        """Examples of each kind of problem; the key also gives the number of images or classes."""
        found = self.problems.items()
        return {f"{kind} ({len(texts)})": join_names(texts, EXAMPLES) for kind, texts in found}

    @property
    def problem_notes(self) -> list[str]:
        """One message per kind of problem, with examples."""
        return [f"{kind}: {names}" for kind, names in self.examples.items()]

    @property
    def notes(self) -> list[str]:
        """All messages for the user, on problems and other findings."""
        notes = [*self.problem_notes, *self.remarks]
        if self.is_all_grey:
            notes.append("grey, although stored with colour: dataset.channels: 1 is enough")
        if self.repeated:
            names = join_names(self.repeated, EXAMPLES)
            count = len(self.repeated)
            notes.append(f"equal to another image of their split and class ({count}): {names}")
        return notes


def join_names(names: Iterable[str], most: int = LISTED, between: str = ", ") -> str:
    """Join the first few names, and say how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def digests_of(images: np.ndarray) -> np.ndarray:
    """Return a hash of each image, (N, 16) bytes, for images (N, …) in memory."""
    hashes = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)


def equal_images(
    digests: np.ndarray, origins: np.ndarray, names: Sequence[str]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return ``Findings.identical`` and ``Findings.repeated`` of N named images.

    ``digests`` are those of ``digests_of``; ``origins`` are each image's split and class, (N, 2).
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    first: dict[tuple[bytes, bytes], int] = {}
    repeated = []
    for row, key in enumerate(zip(map(bytes, digests), map(bytes, origins), strict=True)):
        groups[key[0]].append(row)
        if first.setdefault(key, row) != row:
            repeated.append(names[row])
    identical = tuple(
        tuple(names[row] for row in rows)
        for rows in groups.values()
        if len(rows) > 1 and (origins[rows] != origins[rows[0]]).any()
    )
    return identical, tuple(repeated)
