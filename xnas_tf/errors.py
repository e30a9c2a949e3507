"""Errors meant for people: no traceback, an exit code, and the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XnasError(Exception):
    """A failure that has one clear message. ``exit_code`` is what the command line returns."""

    exit_code = 1


class InputError(XnasError):
    """Something the user gave is wrong: configuration, data, run directory or code."""

    exit_code = 2


class HeldError(InputError):
    """A run directory in which another process is searching.

    Args:
        path: The run directory.
    """

    def __init__(self, path: object) -> None:
        super().__init__(f"another process is searching in {path} at this moment")


class NotApplicable(InputError):
    """An attribution method that cannot be applied to this kind of model."""


class RunError(XnasError):
    """A run that began cannot go on, for a reason outside its configuration."""


class RankDiedError(RunError):
    """Another rank of the same job, or of the same group, is gone."""


def suggest(given: str, allowed: Iterable[str]) -> str:
    """Names what was given, the nearest allowed name and all that is allowed.

    Returns:
        For example ``'eror' (did you mean 'error'? allowed: error, flops, parameters)``.
    """
    names = sorted(map(str, allowed))
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{given!r} ({hint}allowed: {', '.join(names)})"
