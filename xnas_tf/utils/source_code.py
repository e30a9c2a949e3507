"""Hashes of a user's source code, which show whether it has changed since an earlier run."""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

MAIN = "__main__"
"""Module of a script or notebook."""
_LIBRARIES = ("site-packages", "dist-packages")
_OURS = "xnas_tf"
CHANGED = "the model may behave differently from when it was trained"
"""What a change of the code of a model's own layers means."""


def source_hashes(owners: Iterable[Any], modules: Iterable[str] = ()) -> dict[str, str]:
    """Return hashes of the user's code on which classes and functions depend.

    A module is hashed as a whole, together with the modules that it imports, except libraries. In a
    script or notebook, only the classes and functions themselves are hashed, together with the
    functions, classes and constants of the script that they use. Comments and layout do not count.

    The hashes are named after modules, such as ``mine``, or definitions of a script, such as
    ``__main__.build``. ``modules`` are the names of further modules to hash.
    """
    owners = list(owners)
    definitions, used = _definitions(each for each in owners if _module(each) == MAIN)
    own = {*map(_module, owners), *modules}
    return {**definitions, **_module_hashes([*own, *used], {_package(name) for name in own})}


def copyable_file(module: str) -> Path | None:
    """Return the file of a user's module; None if it is part of a package or of a library."""
    file = _source_file(module)
    if file is None or "." in module or file.name == "__init__.py":
        return None
    return file if {*_LIBRARIES}.isdisjoint(file.parts) else None


def value_text(value: Any) -> str:
    """Return a text by which a value can be compared between processes; empty if there is none.

    A value is described as JSON; a function by its source and the values of its enclosing
    variables; a partial by its function and arguments; an object of Keras by its configuration.
    """
    if isinstance(value, FunctionType):
        enclosing = inspect.getclosurevars(value).nonlocals.values()
        values = (each for each in enclosing if not isinstance(each, FunctionType))
        return "".join([_source(value), *map(value_text, values)])
    if isinstance(value, partial):
        return "".join(map(value_text, [value.func, *value.args, *value.keywords.items()]))
    try:
        return json_text(value.get_config() if hasattr(value, "get_config") else value)
    except Exception:  # noqa: BLE001 - a user's code may raise anything
        return ""


def changed_files(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """Return the files whose code differs between two results of ``source_hashes``, sorted.

    Names in only one of the results are ignored, because a module may not always be imported.
    """
    known = before or {}
    changed = [name for name, value in now.items() if known.get(name, value) != value]
    return sorted({file_of(name) for name in changed})


def changes_text(before: Mapping[str, str] | None, now: Mapping[str, str], since: str) -> str:
    """Return, for example, "mine.py has changed since the search"; empty if nothing has changed."""
    files = [Path(file).name for file in changed_files(before, now)]
    verb = "have" if len(files) > 1 else "has"
    return f"{', '.join(files)} {verb} changed since the {since}" if files else ""


def file_of(name: str) -> str:
    """Return the file of a name in ``source_hashes``, as a relative path if possible."""
    module = MAIN if name.startswith(f"{MAIN}.") else name
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return name.removeprefix(f"{MAIN}.")
    path = Path(file).resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _module_hashes(names: Iterable[str], packages: set[str]) -> dict[str, str]:
    """Return hashes of modules, and of those that they import from the same packages or folders."""
    hashes: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        file = _source_file(name)
        is_library = file and not {*_LIBRARIES}.isdisjoint(file.parts)
        if name in hashes or file is None or (is_library and _package(name) not in packages):
            continue
        source = file.read_text(encoding="utf-8", errors="replace")
        hashes[name] = _hash(_normalised(source))
        waiting += _imported(source, sys.modules[name].__package__ or "")
    return hashes


def _source_file(name: str) -> Path | None:
    """Return the file of a user's module, or None for other modules."""
    file = Path(getattr(sys.modules.get(name), "__file__", None) or "")
    known = {MAIN, _OURS, "keras", "keras_tuner", *sys.stdlib_module_names}
    return None if file.suffix != ".py" or _package(name) in known or not file.is_file() else file


def _imported(source: str, package: str) -> Iterator[str]:
    """Yield the names that a module's source imports; some of them may not be modules."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _definitions(owners: Iterable[Any]) -> tuple[dict[str, str], list[str]]:
    """Return hashes of definitions in a script, and the names of the modules that they use."""
    hashes: dict[str, str] = {}
    modules: list[str] = []
    waiting = list(owners)
    while waiting:
        owner = waiting.pop()
        name = f"{MAIN}.{owner.__qualname__}"
        if name in hashes:
            continue
        functions = list(_functions(owner))
        used = {key: value for each in functions for key, value in _globals_of(each).items()}
        plain = {key: text for key, value in used.items() if (text := json_text(value))}
        own = {key: json_text(value) for key, value in vars(owner).items() if key[:2] != "__"}
        hashes[name] = _hash(json.dumps([*map(_source, functions), plain, own], sort_keys=True))
        for value in _flat([*used.values(), getattr(owner, "__bases__", ())]):
            if _module(value) == MAIN and isinstance(value, FunctionType | type):
                waiting.append(value)
            else:
                modules.append(_module(value))
    return hashes, modules


def _functions(owner: Any) -> Iterator[FunctionType]:
    """Yield a function itself, or the methods of a class."""
    found = [owner] if isinstance(owner, FunctionType) else vars(owner).values()
    for each in found:
        function = getattr(each, "__func__", None) or getattr(each, "fget", None) or each
        if isinstance(function, FunctionType):
            yield inspect.unwrap(function)


def _globals_of(function: FunctionType) -> dict[str, Any]:
    """Return the global and enclosing variables that a function uses."""
    names, waiting = set[str](), [function.__code__]
    while waiting:
        code = waiting.pop()
        steps = dis.get_instructions(code)
        names |= {step.argval for step in steps if step.opname == "LOAD_GLOBAL"}
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    enclosing = inspect.getclosurevars(function).nonlocals
    return {**{n: v for n, v in function.__globals__.items() if n in names}, **enclosing}


def _source(function: FunctionType) -> str:
    try:
        return _normalised(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):  # typed into an interpreter, which does not keep the source
        code = function.__code__
        constants = [each for each in code.co_consts if not isinstance(each, CodeType)]
        return f"{code.co_code.hex()} {code.co_names} {constants}"


def _normalised(source: str) -> str:
    """Return Python source without comments and in a uniform layout."""
    try:
        return ast.unparse(ast.parse(source))
    except (SyntaxError, ValueError):
        return source


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    """Yield values, and instead of lists, tuples and dictionaries their elements."""
    for value in values:
        if isinstance(value, list | tuple | dict):
            yield from _flat(value.values() if isinstance(value, dict) else value)
        else:
            yield value


def json_text(value: Any) -> str:
    """Return a constant as text, with the names of functions and classes; empty for others."""
    try:
        is_code = isinstance(value, FunctionType | type)
        return "" if is_code else json.dumps(value, sort_keys=True, default=_element)
    except (TypeError, ValueError, RecursionError):
        return ""


def _element(value: Any) -> Any:
    """Return an element of a container as JSON; raise a ``TypeError`` if that is not possible."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, FunctionType | type):
        return value.__qualname__
    raise TypeError


def _module(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    return getattr(value, "__module__", None) or ""


def _package(module: str) -> str:
    return module.partition(".")[0]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
