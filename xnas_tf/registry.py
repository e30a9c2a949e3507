"""Extension points: implementations found by name, by entry point or as ``module:Name``."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.machinery import all_suffixes
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from xnas_tf.errors import InputError, suggest


class Registry:
    """The implementations of one extension point, imported on first use.

    ``kind`` names them in messages, such as "objective". Other packages register theirs in the
    entry-point ``group``; ``builtin`` has the ``module:Name`` of ours.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)

    @cached_property
    def _targets(self) -> dict[str, str]:
        plugins = {point.name: point.value for point in entry_points(group=self.group)}
        return {**plugins, **self._builtin}

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        return sorted(self._targets)

    def get(self, name: str) -> Any:
        """Return the implementation called ``name``, or the object at ``module:Name``.

        Raises:
            InputError: If there is none. The message names the nearest match.
        """
        scheme = name.partition(":")[0] + ":"
        target = self._targets.get(name, self._targets.get(scheme))
        if target is None and ":" not in name:
            raise InputError(f"unknown {self.kind} {suggest(name, self.names())}")
        return import_object(target or name, self.kind)


OBJECT = "object:"
"""Prefix of the names of a user's objects that cannot be imported."""
OBJECTS: dict[str, Any] = {}
"""The objects registered in this process, by name."""


def register_object(thing: Any, name: str) -> str:
    """Register an object in this process, and return its name for ``find_object``."""
    OBJECTS[OBJECT + name] = thing
    return OBJECT + name


def find_object(name: str, kind: str) -> Any:
    """Return the object that was registered under a name, or import ``package.module:Name``.

    Raises:
        InputError: If the object is not registered in this process, or cannot be imported.
    """
    if not name.startswith(OBJECT):
        return import_object(name, kind)
    if name not in OBJECTS:
        raise InputError(
            f"{kind} {name!r} was given to xt.Tuner as an object, which this process does not "
            "have: run the same script again, or give it as 'package.module:Name'"
        )
    return OBJECTS[name]


_RUNS: set[Path] = set()
"""Folders of the runs that this process has read."""


def import_nothing_from(folder: Path) -> None:
    """Let ``import_module`` reject modules in the folder of a run, which may be a stranger's."""
    _RUNS.add(folder.resolve())


def import_module(name: str, safe: bool = True) -> ModuleType:
    """Import a module, which may be in the current folder.

    The current folder is searched only if the module is in it: otherwise, a file such as
    ``pandas.py`` in a folder of data would be imported in place of the package. If
    ``examples.NAME`` is not in the current folder, it is imported from the installed package.

    Raises:
        InputError: If ``safe`` is true and the module is in the folder of a run, unless it was
            imported before.
    """
    if name.startswith("xnas_tf."):
        return importlib.import_module(name)
    here = Path.cwd()
    if safe and name not in sys.modules:
        _check_outside_runs(name, here)
    if str(here) not in sys.path and any(_files(name, here)):
        sys.path.insert(0, str(here))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_missing = f"{name}.".startswith(f"{error.name}.")
        package, _, module = name.partition(".")
        is_ours = package == "examples" and (installed_folder(package) / f"{module}.py").is_file()
        if not is_missing or not is_ours:
            raise
        return importlib.import_module(f"xnas_tf.{name}")


def _check_outside_runs(name: str, here: Path) -> None:
    for file in (each for folder in (here, *map(Path, sys.path)) for each in _files(name, folder)):
        if any(file.parent.resolve().is_relative_to(run) for run in _RUNS):
            raise InputError(
                f"{file} is in the folder of a run, from which nothing is imported, because it may "
                "come from somebody else. If the code is yours, move it out of that folder"
            )


def _files(name: str, folder: Path) -> Iterator[Path]:
    """Yield the files that run if a module is imported from a folder: its own and its packages'."""
    parts = name.split(".")
    for path in (folder.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)):
        for suffix in all_suffixes():
            files = (Path(f"{path}{suffix}"), path / f"__init__{suffix}")
            # Unlike Path.is_file, this ignores folders that cannot be read, as imports do.
            yield from (file for file in files if os.path.isfile(file))


def installed_folder(name: str) -> Path:
    """Return the ``configs`` or ``examples`` folder of the installed package or checkout."""
    package = Path(__file__).parent
    return next(path for path in (package / name, package.parent / name) if path.is_dir())


def import_object(target: str, kind: str) -> Any:
    """Import ``package.module:Name``, which may be in the current folder.

    Raises:
        InputError: If the module is missing, fails to import or does not define the name.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise InputError(f"{kind} {target!r} is not of the form package.module:Name")
    try:
        module = import_module(module_name)
    except Exception as error:  # a user's module may raise any exception
        raise InputError(
            f"{kind} {target!r}: importing {module_name} failed: {describe(error)}"
            f"{_hint(error, module_name)}"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        found = vars(module).items()
        public = [name for name, value in found if _is_defined(name, value, module_name)]
        raise InputError(
            f"{kind} {target!r}: module {module_name} has no {suggest(attribute, public)}"
        ) from None


def _is_defined(name: str, value: Any, module_name: str) -> bool:
    """Return whether a public name is defined in a module or its package, rather than imported."""
    if name.startswith("_") or isinstance(value, ModuleType):
        return False
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return True
    origin = getattr(value, "__module__", None) or ""
    return origin.partition(".")[0] == module_name.partition(".")[0]


def _hint(error: Exception, module_name: str) -> str:
    """Return a hint if the module itself is missing, rather than a module that it imports."""
    first = module_name.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or error.name != first:
        return ""
    near = difflib.get_close_matches(first, [path.stem for path in Path.cwd().glob("*.py")], n=1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f". There is no {first}.py in the current folder, and no such package is installed"
        f"{suggestion}"
    )


def describe(error: BaseException) -> str:
    """Describe an exception in one line: its type, its message and where it was raised."""
    location = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        location = f" ({os.path.basename(frame.f_code.co_filename)}:{line})"
    return f"{type(error).__name__}: {_message(str(error))[:500]}{location}"


_IN_LAYER = re.compile(r"Exception encountered when calling (.+)\.\s+(?:\x1b\[1m)?([^\x1b\n]+)")
"""Keras' description of the layer in which an error was raised, before the message in bold."""


def _message(text: str) -> str:
    """Return the line that describes the error, before which TensorFlow may put a traceback."""
    if found := _IN_LAYER.search(text):
        layer, reason = found.groups()
        return f"{reason.strip()} (in {layer})"
    lines = [line.rstrip() for line in text.splitlines() if line.strip()] or [""]
    if lines[0] == "in user code:":
        return lines[-1].strip()
    if lines[0] == "Graph execution error:":
        node_lines = (" ", "\t", "Detected at node")
        lines = [line for line in lines[1:] if not line.startswith(node_lines)] or lines
    return lines[0].strip()
