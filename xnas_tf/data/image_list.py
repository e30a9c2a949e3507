"""Lists of encoded images with their labels, as loaders of image files return them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path

import numpy as np

from xnas_tf.data.class_names import first_classes
from xnas_tf.data.decoding import Encoded
from xnas_tf.data.quality import Findings
from xnas_tf.errors import InputError, suggest

SPLITS = ("train", "validation", "test")
_ALSO = {"training": "train", "testing": "test"}
_ALSO |= dict.fromkeys(("val", "valid", "dev"), "validation")


@dataclass(frozen=True)
class ImageList:
    """Encoded images with unique names and class numbers, in an order that depends on the names.

    ``stream`` returns a new iterator over the images. ``groups`` and ``parts`` are as in
    ``Source``; ``findings`` are what is known before the images are read.
    """

    names: Sequence[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    stream: Callable[[], Iterator[Encoded]]
    groups: np.ndarray | None = None
    parts: np.ndarray | None = None
    findings: Findings = field(default_factory=Findings)

    def of_first_classes(self, count: int, name: str) -> ImageList:
        """Return the images of the first classes; see ``class_names.first_classes``."""
        class_names = first_classes(count, self.class_names, name)
        kept = self.labels < count
        return replace(
            self,
            names=list(compress(self.names, kept)),
            labels=self.labels[kept],
            class_names=class_names,
            stream=lambda: compress(self.stream(), kept),
            groups=None if self.groups is None else self.groups[kept],
            parts=None if self.parts is None else self.parts[kept],
        )


@dataclass(frozen=True)
class ImageFiles:
    """Image files of a data set, as a loader returns them.

    The names, sizes and modification times of ``files`` reveal changes; with ``root``, they
    identify the data set. ``listing`` returns the list of images, for which it may read all files.
    """

    files: Sequence[Path]
    listing: Callable[[], ImageList]
    root: str
    mirrored: bool = False


def row_names(files: Iterable[str], rows: Iterable[Iterable[int]]) -> list[str]:
    """Return a name, such as ``val_data#3``, for each of the rows of each file."""
    return [f"{file}#{row}" for file, own in zip(files, rows, strict=True) for row in own]


def split_name(text: str) -> str | None:
    """Return ``train``, ``validation`` or ``test`` for any of its usual names; otherwise None."""
    word = _ALSO.get(text.strip().lower(), text.strip().lower())
    return word if word in SPLITS else None


def split_names(texts: Iterable[str], where: str) -> np.ndarray:
    """Return the split that each text names, or "" for an empty text.

    Raises:
        InputError: If a text does not name a split. The message begins with ``where``.
    """
    found = []
    for text in texts:
        split = split_name(text) if text.strip() else ""
        if split is None:
            raise InputError(f"{where}: unknown split {suggest(text, SPLITS)}")
        found.append(split)
    return np.array(found)


def encode_labels(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the class number of each class name, and the names, sorted as integers or as text."""
    ordered = sorted(set(texts))
    if all(re.fullmatch(r"-?\d+", name) for name in ordered):
        ordered.sort(key=int)  # 01 stays before 1
    numbers = {name: number for number, name in enumerate(ordered)}
    return np.array([numbers[text] for text in texts], np.int32), tuple(ordered)


def match_groups(pattern: str, names: Sequence[str], name: str) -> np.ndarray:
    """Return the group of each image: the text that a regular expression matches in its name.

    If the expression has parentheses, only the first pair counts.

    Raises:
        InputError: If a name does not match, or only an empty text in it does, as with an optional
            expression. Each image would then be a group of its own.
    """
    groups = []
    for image in names:
        match = re.search(pattern, image)
        if not (match and any([match[0], *match.groups()])):  # a lookahead has an empty match
            raise InputError(f"dataset.group: {pattern!r} was not found in {image!r} of {name}")
        groups.append(match[1 if match.re.groups else 0] or "")
    return np.array(groups)
