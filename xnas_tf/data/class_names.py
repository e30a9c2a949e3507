"""Looks up classes by name or number, and selects the first classes of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xnas_tf.errors import InputError, suggest


def class_number(
    text: str,
    class_names: Sequence[str],
    option: str = "`target`",
    others: Sequence[str] = ("predicted", "true"),
) -> int:
    """Return the number of a class given by its name or number.

    The message for an unknown class names ``option`` and ``others``, the other values it allows.
    """
    if text in class_names:
        return list(class_names).index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise InputError(f"{option}: no class {suggest(text, [*others, *class_names])}")


def class_numbers(values: Any, class_names: Sequence[str], option: str) -> np.ndarray:
    """Return the numbers of classes given by name or number, as an array of the same shape."""
    array = np.asarray(values)
    if array.dtype.kind in "OSTU":
        numbers = [class_number(str(each), class_names, option, ()) for each in array.ravel()]
        return np.array(numbers, np.int64).reshape(array.shape)
    is_known = (array >= 0) & (array < len(class_names)) & (array == np.floor(array))
    if not is_known.all():
        raise InputError(
            f"{option}: no class {array[~is_known].flat[0]}; allowed: 0 to {len(class_names) - 1}, "
            f"or a name: {', '.join(class_names)}"
        )
    return array.astype(np.int64)


def check_order(class_names: Sequence[str], known: Sequence[str], where: str) -> None:
    """Check that given classes have the same numbers as the classes of a model.

    ``known`` are the model's classes, or empty if unknown. ``where`` says in messages where
    ``class_names`` are given.

    Raises:
        InputError: If a class has another number in the model.
    """
    numbers = {each: number for number, each in enumerate(known)}
    for number, each in enumerate(class_names):
        if (own := numbers.get(each, number)) != number:
            raise InputError(
                f"{where}: class {each!r} has the number {number}, but {own} in the "
                f"model; allowed: the classes of the model, in this order: {', '.join(known)}"
            )


def first_classes(count: int, class_names: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the names of the first ``count`` classes, at least two, of the data set ``name``."""
    if not 2 <= count <= len(class_names):
        raise InputError(
            f"dataset.classes: {count} given, but data set {name} has {len(class_names)} classes; "
            f"allowed: 2 to {len(class_names)}"
        )
    return tuple(class_names[:count])
