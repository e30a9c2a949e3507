"""Checks that the user's code, and the files that it reads, have not changed since a run began."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from xnas_tf.attribution import attribution_method
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import SearchContext
from xnas_tf.objectives.base import Objective
from xnas_tf.registry import find_object
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.utils.source_code import MAIN, changed_files, source_hashes

CODE = "code"
"""Name of the fact with the hashes of the code and files; runs of earlier versions lack it."""


def check_code(search: SearchContext) -> None:
    """Record hashes of the user's code, or check that they have not changed since the run began.

    Otherwise, one run would mix the results of different networks or measures. The code of the data
    set does not count, since the images themselves are compared.

    Raises:
        InputError: If the code has changed, or a file that a measure or the HyperModel reads.
    """
    before, now = search.database.fact(CODE), code_hashes(search.config, search.space)
    if files := changed_files(before, now):
        raise InputError(
            f"the code or another file of {search.path} has changed since the run began: "
            f"{', '.join(files)}. Undo the change to resume the run, or use `fresh` to move the "
            "run aside and start a new one"
        )
    search.database.set_fact(CODE, {**(before or {}), **now})


def code_hashes(config: Config, space: SearchSpace, with_scripts: bool = True) -> dict[str, str]:
    """Return hashes of the code of the HyperModel, and of all that ``measuring_hashes`` covers."""
    found = [*space.code, *_measuring_code(config)]
    owners = [each for each in found if with_scripts or each.__module__ != MAIN]
    modules = [config.space.hypermodel_module]  # a function there may return a class from elsewhere
    return source_hashes(owners, modules) | _file_hashes(config)


def measuring_hashes(config: Config) -> dict[str, str]:
    """Return hashes of the code of the measures and Keras callbacks, and of all files read.

    These are not part of a network's digest; see ``evaluation_digest``.
    """
    return source_hashes(_measuring_code(config)) | _file_hashes(config)


def shared_hashes(config: Config, space: SearchSpace) -> dict[str, str]:
    """Return the hashes of ``code_hashes`` that must be the same on all hosts.

    The code of a script is left out: its constants may depend on the rank, and Ray sends it to the
    ranks.
    """
    return code_hashes(config, space, with_scripts=False)


def _measuring_code(config: Config) -> Iterator[Any]:
    for measure in _measures(config):
        yield type(measure)
        yield from map(attribution_method, measure.used_methods)
    for name in config.training.callbacks:
        found = find_object(name, "training.callbacks:")
        yield found if hasattr(found, "__qualname__") else type(found)


def _file_hashes(config: Config) -> dict[str, str]:
    """Return hashes of the files that the measures read, or that the HyperModel's options name.

    Such an option may be a file with pretrained weights. Files that cannot be read are left out, as
    those who read them report it.
    """
    options = getattr(config.space, "options", {}).values()
    named = [value for value in options if isinstance(value, str)]
    hashes = {}
    for path in [*named, *(path for measure in _measures(config) for path in measure.input_files)]:
        with suppress(OSError, ValueError, RuntimeError):  # for example, the option is no path
            hashes[path] = _file_hash(Path(path).expanduser())
    return hashes


def _file_hash(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            hasher.update(chunk)
    return hasher.hexdigest()


def _measures(config: Config) -> list[Objective]:
    early = (measure for measures in config.record_at.values() for measure in measures)
    return [*config.measures(), *early]
