"""Checks that the user's code has not changed since a run began."""

from __future__ import annotations

from typing import Any

from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import SearchContext
from xnas_tf.registry import find_object
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.utils.source_code import MAIN, changed_files, source_hashes

CODE = "code"
"""Name of the fact with the hashes of the code; runs of earlier versions lack it."""


def check_code(search: SearchContext) -> None:
    """Record hashes of the user's code, or check that they have not changed since the run began.

    Otherwise, one run would mix the results of different networks. The code of the data set does
    not count, since the images themselves are compared.

    Raises:
        InputError: If the code has changed.
    """
    before, now = search.database.fact(CODE), code_hashes(search.config, search.space)
    if files := changed_files(before, now):
        raise InputError(
            f"the code of {search.path} has changed since the run began: {', '.join(files)}. Undo "
            "the change to resume the run, or use `fresh` to move the run aside and start a new one"
        )
    search.database.set_fact(CODE, {**(before or {}), **now})


def code_hashes(config: Config, space: SearchSpace) -> dict[str, str]:
    """Return hashes of the code of the HyperModel, the objectives and the Keras callbacks."""
    callbacks = [find_object(name, "training.callbacks:") for name in config.training.callbacks]
    owners = [*space.code, *map(_owner, [*config.measures(), *callbacks])]
    named = [config.space.hypermodel_module]  # a function there may return a class from elsewhere
    return source_hashes(owners, [name for name in named if name not in ("", MAIN)])


def _owner(value: Any) -> Any:
    """Return a class or function unchanged, and the class of any other object."""
    return value if hasattr(value, "__qualname__") else type(value)
