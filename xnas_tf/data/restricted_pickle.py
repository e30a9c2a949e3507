"""Reads pickles of NumPy arrays in plain containers, and rejects all others."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_NUMBERS = re.compile(r"[<>=|]?[biuf][1248]")
"""Types of arrays that are read; arrays of objects or of several fields are refused."""


class Refused(Exception):
    """A pickle that asks for something other than arrays; the message says what it asks for."""


def read_pickle(file: Path) -> object:
    """Return the arrays, numbers, strings, lists, tuples and dictionaries in a pickle.

    Python 2 strings are read as Latin-1. Code that a pickle names is never looked up or run. An
    exception of any type is raised if the file is truncated or not a pickle, and ``Refused`` if it
    contains any other kind of object.
    """
    with file.open("rb") as stream:
        return _Unpickler(stream, encoding="latin1").load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None


class _Type:
    """A numeric type that a pickle's state cannot turn into an object type."""

    def __init__(self, code: str, *_: object) -> None:
        if not _NUMBERS.fullmatch(code):
            raise Refused(f"an array of type {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *fields = state
        if any(fields[:3]):
            raise Refused("an array of several fields")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array that takes its shape, type and values from the pickled state."""

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, is_fortran, values = state
        super().__setstate__((version, shape, kind.dtype, is_fortran, _bytes(values)))


def _array(*_: object) -> _Array:
    return _Array(0, np.uint8)


def _scalar(kind: _Type, values: str | bytes) -> np.generic:
    return np.frombuffer(_bytes(values), kind.dtype)[0]


def _from_buffer(values: bytes, kind: _Type, shape: tuple[int, ...], order: Any) -> np.ndarray:
    return np.frombuffer(values, kind.dtype).reshape(shape, order=order)


def _bytes(values: str | bytes) -> bytes:
    """Return the values of an array as bytes; Python 2 pickled them as text."""
    return values.encode("latin1") if isinstance(values, str) else bytes(values)


def _latin1(text: str, *_: object) -> bytes:
    """Return bytes that were pickled as Latin-1 text."""
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., object] | None] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): None,  # only an argument, which _array ignores
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): bytes,  # how Python 3 writes b"" for Python 2
}
"""Replacement for each module and name."""
