"""What was found in image files that their owner should know of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

LISTED = 20
"""Files named of each kind where people read; programs get all."""


@dataclass(frozen=True)
class Findings:
    """What was found in the images of a data set; all names are files' or records'.

    Attributes:
        unreadable: Why an image cannot be decoded; it is left out.
        grey: Images without colour, where others have it.
        is_all_grey: Whether none has any colour, though they are stored with it.
        odd: Height and width of images whose shape differs so much from the others' that they
            are stretched by more than half.
        empty: Classes without images; they are left out.
        identical: Groups of images that are the same, pixel by pixel, and lie in several parts
            or classes.
        ignored: How many files are no images by their names.
        sizes: Height and width of the smallest, the median and the largest image.
        different_sizes: How many sizes there are.
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

    @property
    def _kinds(self) -> list[tuple[str, dict[str, str]]]:
        """What is found, and each name with what is particular to it."""
        odd = {name: f"{width}x{height}" for name, (height, width) in self.odd.items()}
        twins = {" = ".join(names): "" for names in self.identical}
        return [
            ("unreadable and left out", self.unreadable),
            ("class without images, left out", dict.fromkeys(self.empty, "")),
            ("without colour, among coloured ones", dict.fromkeys(self.grey, "")),
            ("of an odd shape, stretched by more than half", odd),
            ("identical, but in several parts or classes", twins),
        ]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What is found, and the file, class or files, with what is particular to it."""
        return [
            (kind, f"{name} ({what})" if what else name)
            for kind, found in self._kinds
            for name, what in found.items()
        ]

    @property
    def notes(self) -> list[str]:
        """One text a kind of finding, with the names."""
        notes = []
        for kind, found in self._kinds:
            names = listed(name for each, name in self.problems if each == kind)
            notes += [f"{kind} ({len(found)}): {names}"] if found else []
        if self.is_all_grey:
            notes.append("stored with colour, but without any: dataset.channels: 1 would do")
        if self.ignored:
            notes.append(f"files that are no images by their names: {self.ignored}")
        return notes

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON can hold it."""
        return asdict(self)


def listed(names: Iterable[str], most: int = LISTED) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def identical(
    digests: np.ndarray, owners: np.ndarray, names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Groups of images that are the same though they have different owners.

    Args:
        digests: A hash of each image, (N, 16) bytes.
        owners: What twins may not differ in, (N, ...) integers: part and class.
        names: What each image is called.
    """
    _, kinds, counts = np.unique(
        np.ascontiguousarray(digests).view("S16").ravel(), return_inverse=True, return_counts=True
    )
    twins = np.flatnonzero(counts[kinds] > 1)
    groups: dict[int, list[int]] = {}
    for row in twins:
        groups.setdefault(int(kinds[row]), []).append(int(row))
    return tuple(
        tuple(names[row] for row in rows)
        for rows in groups.values()
        if (owners[rows] != owners[rows[0]]).any()
    )
