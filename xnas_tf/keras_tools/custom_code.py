"""Finds a model's custom code: the classes and functions that are not part of Keras."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np

_KNOWN = ("keras", "xnas_tf")
"""Packages whose objects are described by their classes and configurations."""
_DATA = (bool, int, float, complex, str, bytes, np.ndarray, ModuleType, keras.KerasTensor)
_CALLS_ELSEWHERE = ("_inbound_nodes", "_outbound_nodes")
"""Attributes of a layer that lead to other models that share the layer."""


def custom_code(model: keras.Model) -> Iterator[Any]:
    """Yield the non-Keras classes and functions in a model, possibly with duplicates.

    These may depend on anything, such as a hyperparameter, because ``get_config`` may omit an
    argument and functions may use variables from an enclosing scope. The search covers layers,
    ``compile`` arguments, schedules, initializers, regularizers, constraints, call arguments, and
    attributes added to any of them.
    """
    seen: dict[int, Any] = {}  # keeps the objects alive, so that ids are unique
    waiting: list[Any] = [model]
    while waiting:
        value = waiting.pop()
        if value is None or isinstance(value, _DATA) or id(value) in seen:
            continue
        seen[id(value)] = value
        if (owner := _owner(value)) is not None:
            yield owner
        else:
            waiting.extend(_parts(value))


def _owner(value: Any) -> Any:
    """Return the class or function that makes an object custom code, or None if there is none."""
    if isinstance(value, FunctionType):  # `functools.wraps` changes __module__
        return None if _package(value.__globals__.get("__name__")) in _KNOWN else value
    kind = value if isinstance(value, type) else type(value)
    package = _package(kind.__module__)
    if package in _KNOWN or isinstance(value, MethodType):
        return None
    is_library = package in sys.stdlib_module_names or package in ("numpy", "tensorflow")
    is_function = callable(value) and not isinstance(value, type)  # `partial`, `tf.function`
    if is_library and is_function and not _is_known_partial(value):
        return getattr(value, "func", kind)
    return None if is_library else kind


def _is_known_partial(value: Any) -> bool:
    """Return whether this is a ``functools.partial`` made by this package for a known layer."""
    return _package(getattr(getattr(value, "func", None), "__module__", None)) == "xnas_tf"


def _package(module: Any) -> str:
    return str(module).partition(".")[0]


def _parts(value: Any) -> Iterable[Any]:
    """Yield the objects referenced by an object."""
    if isinstance(value, FunctionType):
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
        yield from (cell.cell_contents for cell in value.__closure__ or () if _is_set(cell))
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, Mapping):
        yield from (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    if _package(type(value).__module__) in _KNOWN:
        attributes = getattr(value, "__dict__", {})
        yield from (part for name, part in attributes.items() if name not in _CALLS_ELSEWHERE)


def _is_set(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable is not assigned yet
        return False
