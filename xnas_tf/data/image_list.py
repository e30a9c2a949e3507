"""Encoded images with what is known of each, as the loaders of image files give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnas_tf.data.decoding import Encoded
from xnas_tf.errors import InputError, suggest

PARTS = ("train", "validation", "test")
_ALSO = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation"}


@dataclass(frozen=True)
class ImageList:
    """Images in an order that comes from their names alone.

    Args:
        names: What each is called in messages, (N,), each something else.
        labels: Class numbers, (N,).
        class_names: One name a class.
        stream: Gives the images, each time anew, in the order of ``names``.
        groups: What each belongs with, (N,): a group is never split. None: to nothing.
        parts: ``train``, ``validation``, ``test`` or nothing, (N,). None: nothing.
        empty: Classes without any image.
        ignored: Files that are no images by their names.
    """

    names: Sequence[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    stream: Callable[[], Iterator[Encoded]]
    groups: np.ndarray | None = None
    parts: np.ndarray | None = None
    empty: tuple[str, ...] = ()
    ignored: int = 0


@dataclass(frozen=True)
class ImageFiles:
    """What a loader of image files returns.

    Args:
        files: The files that hold everything: what they are called, how large they are and when
            they were written tells whether anything has changed.
        listing: Makes the listing, which may mean to read all of them.
        root: What else tells these files from others.
        mirrored: See ``Dataset``.
    """

    files: Sequence[Path]
    listing: Callable[[], ImageList]
    root: str
    mirrored: bool = False


def part_name(text: str) -> str | None:
    """``train``, ``validation`` or ``test`` for the words that people use; None for others."""
    word = _ALSO.get(text.strip().lower(), text.strip().lower())
    return word if word in PARTS else None


def part_names(texts: Iterable[str], where: str) -> np.ndarray:
    """The parts that are named, nothing where nothing is.

    Raises:
        InputError: If one is no part.
    """
    found = []
    for text in texts:
        part = part_name(text) if text.strip() else ""
        if part is None:
            raise InputError(f"{where}: unknown part {suggest(text, PARTS)}")
        found.append(part)
    return np.array(found)


def numbered(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers for class names, and the names in order: numbers as numbers, else texts."""
    names = set(texts)
    are_numbers = all(re.fullmatch(r"-?\d+", name) for name in names)
    ordered = sorted(names, key=int) if are_numbers else sorted(names)
    places = {name: place for place, name in enumerate(ordered)}
    return np.array([places[text] for text in texts], np.int32), tuple(ordered)


def groups_by(pattern: str, names: Sequence[str], name: str) -> np.ndarray:
    """What a regular expression finds in each image's name: its first parenthesis if it has one.

    Raises:
        InputError: If a name doesn't match.
    """
    found = [re.search(pattern, image) for image in names]
    if None in found:
        raise InputError(
            f"dataset.group: {pattern!r} is not found in {names[found.index(None)]!r} of {name}"
        )
    return np.array([match[match.re.groups and 1] or "" for match in found])
