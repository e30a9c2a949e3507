"""Classes by name or number."""

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
        InputError: If there is no such class; it names ``option`` and ``others``, the other values
            that the option allows.
    """
    if text in class_names:
        return list(class_names).index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise InputError(f"{option}: no class {suggest(text, [*others, *class_names])}")
