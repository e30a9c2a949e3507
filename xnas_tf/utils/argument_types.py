"""Checks the types of a function's arguments, with errors that name the arguments."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from functools import wraps
from numbers import Integral, Real
from typing import Any, NamedTuple, ParamSpec, TypeVar

from xnas_tf.errors import InputError, suggest

P = ParamSpec("P")
T = TypeVar("T")


class Kind(NamedTuple):
    """A kind of argument: its type, and how error messages describe the allowed values."""

    type: Any
    allowed: str


WHOLE = Kind(Integral, "a whole number from 0")
NUMBER = Kind(Real, "a number")
TEXT = Kind(str, "a text")
PATH = Kind(str | os.PathLike, "a path")
LIST = Kind(Iterable, "a list")
NAMES = Kind(Iterable, "a name or a list of names")


def check_types(**kinds: Kind) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function to check the types of these arguments.

    If an argument is missing, unknown or of the wrong type, the function raises an ``InputError``
    that names it. None is accepted where it is the default. A string does not count as a ``LIST``.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise InputError(_mismatch(function.__name__, signature, kwargs, error)) from None
            for name, kind in kinds.items():
                is_default = given.get(name) is None and signature.parameters[name].default is None
                if name in given and not is_default:
                    _check(name, given[name], kind)
            return function(*args, **kwargs)

        return call

    return decorate


def _mismatch(
    function: str, signature: inspect.Signature, given: Iterable[str], error: TypeError
) -> str:
    """Say why arguments do not fit a signature, and suggest the nearest name for unknown ones."""
    names = [name for name in signature.parameters if name != "self"]
    for name in given:
        if name not in signature.parameters:
            return f"`{name}`: {function}() has no argument {suggest(name, names)}"
    return f"{function}(): {error}; its arguments: {', '.join(names)}"


def _check(name: str, value: Any, kind: Kind) -> None:
    is_text_for_list = kind is LIST and isinstance(value, str | bytes)
    if is_text_for_list or not isinstance(value, kind.type):
        hint = f", such as [{value!r}]" if is_text_for_list else ""
        raise InputError(
            f"`{name}` is of type {type(value).__name__}; allowed: {kind.allowed}{hint}"
        )
    if kind is WHOLE and value < 0:
        raise InputError(f"`{name}` is {value}; allowed: {kind.allowed}")
