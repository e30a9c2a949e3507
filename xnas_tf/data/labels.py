"""Converts labels in any common form to class numbers and class names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from xnas_tf.data.image_list import encode_labels
from xnas_tf.data.quality import join_names
from xnas_tf.errors import InputError, suggest

ALLOWED = "whole numbers, texts, true and false, or one-hot rows"
_EXACT = 2.0**53
"""Below this number, floats represent whole numbers exactly."""


class Encoded(NamedTuple):
    """Class numbers (N,) as int32 by split, class names, and notes about converted labels."""

    numbers: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    remarks: list[str]


def clean_label(text: str) -> str:
    """Strip the spaces around a text and normalise its accents."""
    return unicodedata.normalize("NFC", text.strip())


def as_text(name: Any) -> str:
    """Return a name of any type as text."""
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)


def one_per_image(labels: Any, count: int, where: str) -> tuple[np.ndarray, list[str]]:
    """Return labels (N,) of ``count`` images as booleans, numbers or text, and notes for the user.

    Raises:
        InputError: If labels are neither (N,) or (N, 1) nor one-hot, (N, classes). The message
            begins with ``where``.
    """
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise InputError(f"{where}: labels are not one per image: {error}") from error
    if np.ma.is_masked(labels):
        raise InputError(f"{where}: labels have masked values; leave these images out")
    remarks = []
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and len(values) == count:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise InputError(
                f"{where}: rows of {values.shape[1]} labels that are not one-hot, with a single 1"
            )
        if unused := np.flatnonzero(~values.any(axis=0)).tolist():
            remarks = [
                f"one-hot columns without an image, left out: {join_names(map(str, unused))}"
            ]
        values = values.argmax(axis=1)
    if values.shape != (count,):
        raise InputError(
            f"{where}: {count} images but labels of shape {values.shape}; allowed: ({count},), or "
            f"({count}, classes) if they are one-hot"
        )
    if values.dtype.kind == "O":
        values = _of_objects(values.tolist(), where)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "backslashreplace")
    if values.dtype.kind == "T":
        values = values.astype(str)
    if values.dtype.kind not in "biufU":
        raise InputError(f"{where}: labels are of type {values.dtype}; allowed: {ALLOWED}")
    return values, remarks


def _of_objects(labels: list[Any], where: str) -> np.ndarray:
    """Convert labels of one Python type to an array whose dtype is not ``object``."""
    first = type(labels[0])
    for number, label in enumerate(labels):
        if type(label) is not first:
            raise InputError(
                f"{where}: label {label!r} of image {number} is a {type(label).__name__}, but "
                f"the first is a {first.__name__}; allowed: {ALLOWED}, all of one type"
            )
    return np.array(labels)


def encode(
    labels: Mapping[str, np.ndarray], class_names: Iterable[Any] | None, where: str
) -> Encoded:
    """Return labels as class numbers from 0, with the same numbering in all splits.

    Whole numbers from 0 to the number of classes - 1 are unchanged. Other numeric labels are
    numbered in ascending order. Text labels are numbered in the order of ``class_names`` or, if
    there are none, in alphabetical order. A note reports any renumbering. ``labels`` are those of
    ``one_per_image``, by split.

    Raises:
        InputError: If labels are out of range, have no class name, or are all the same, or if class
            names repeat. The message begins with ``where``.
    """
    joined = np.concatenate(list(labels.values()))
    are_texts = joined.dtype.kind == "U"
    names = None if class_names is None else tuple(map(as_text, class_names))
    if names and are_texts:
        names = tuple(map(clean_label, names))  # like the labels
    if names == ():
        raise InputError(f"{where}: class_names are empty; leave them out, or give one per class")
    if names and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where}: {names.count(twice)} classes are named {twice!r}")
    if len({each.dtype.kind == "U" for each in labels.values()}) > 1:
        kinds = ", ".join(f"{part or 'train'} {each.dtype}" for part, each in labels.items())
        raise InputError(f"{where}: labels are text in one split but not in another: {kinds}")
    number = _numbered_texts if are_texts else _numbered
    joined, names, remarks = number(joined, names, where)
    if (joined == joined[0]).all():
        raise InputError(f"{where}: all images are of one class; at least 2 are needed")
    ends = np.cumsum([len(each) for each in labels.values()])[:-1]
    parts = np.split(joined.astype(np.int32), ends)
    return Encoded(dict(zip(labels, parts, strict=True)), names, remarks)


def _whole(labels: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    if labels.dtype.kind == "b":
        return labels.astype(np.int64), ["labels false and true are the classes 0 and 1"]
    if labels.dtype.kind != "f":
        return labels, []
    wrong = np.flatnonzero(~((labels == np.rint(labels)) & (np.abs(labels) < _EXACT)))
    if wrong.size:
        raise InputError(
            f"{where}: label {labels[wrong[0]]} of image {wrong[0]} is not a whole number; "
            f"allowed: {ALLOWED}"
        )
    return labels.astype(np.int64), ["labels are floats, taken as whole numbers"]


def _numbered(
    labels: np.ndarray, names: tuple[str, ...] | None, where: str
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    labels, remarks = _whole(labels, where)
    present = np.unique(labels)
    low, high = int(present[0]), int(present[-1])
    count = len(names or present)
    if low >= 0 and high < count:
        return labels, names or tuple(map(str, range(count))), remarks
    if names and low == 1 and high == count:
        remarks.append(f"labels 1 to {count} are the classes {names[0]} to {names[-1]}")
        return labels.astype(np.int64) - 1, names, remarks
    if names or (low < 0 and present.tolist() != [-1, 1]):
        wrong = low if low < 0 else high
        allowed = f"0 to {count - 1} ({count} class names)" if names else "numbers from 0"
        raise InputError(f"{where}: label {wrong} is out of range; allowed: {allowed}")
    listed = [*map(str, present.tolist())]
    remarks.append(f"labels {join_names(listed)} are the classes 0 to {count - 1}")
    return np.searchsorted(present, labels), tuple(listed), remarks


def _numbered_texts(
    texts: np.ndarray, names: tuple[str, ...] | None, where: str
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    cleaned = [clean_label(text) for text in texts.tolist()]
    if "" in cleaned:
        raise InputError(f"{where}: the label of image {cleaned.index('')} is empty")
    if names is None:
        numbers, names = encode_labels(cleaned)
    elif unknown := set(cleaned).difference(names):
        raise InputError(f"{where}: class_names lack the label {suggest(min(unknown), names)}")
    else:
        of_name = {name: number for number, name in enumerate(names)}
        numbers = np.array([of_name[text] for text in cleaned])
    count = len(names)
    return numbers, names, [f"labels {join_names(names)} are the classes 0 to {count - 1}"]
