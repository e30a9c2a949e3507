"""Looks up classes by name or number, and selects the first ones."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.errors import InputError, suggest


def class_number(
    text: str,
    class_names: Sequence[str],
    option: str = "`target`",
    others: Sequence[str] = ("predicted", "true"),
) -> int:
    """Return the number of a class that is given by name or number.

    Raises:
        InputError: If there is no such class. The message names ``option`` and ``others``, the
            other values that the option allows.
    """
    if text in class_names:
        return list(class_names).index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise InputError(f"{option}: no class {suggest(text, [*others, *class_names])}")


def first_classes(count: int, class_names: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the names of the first ``count`` classes of the data set ``name``.

    Raises:
        InputError: If the data set has fewer classes, or ``count`` is less than two.
    """
    if not 2 <= count <= len(class_names):
        raise InputError(
            f"dataset.classes: {count} given, but data set {name} has {len(class_names)} classes; "
            f"allowed: 2 to {len(class_names)}"
        )
    return tuple(class_names[:count])
