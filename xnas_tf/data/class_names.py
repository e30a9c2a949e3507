"""Classes by name or number."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.errors import InputError, suggest


def class_number(
    text: str,
    class_names: Sequence[str],
    option: str = "--target",
    others: Sequence[str] = ("predicted", "true"),
) -> int:
    """Return the number of a class that is given by name or number.

    Args:
        text: The name or the number.
        class_names: Names of the classes.
        option: Option in which the class was given, for messages.
        others: Other values that the option allows, for messages.

    Raises:
        InputError: If there is no such class.
    """
    if text in class_names:
        return list(class_names).index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    raise InputError(f"{option}: no class {suggest(text, [*others, *class_names])}")
