"""Errors shown to users without a traceback, and suggestions for a wrong name."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class XnasError(Exception):
    """An error with a message for users."""

    exit_code = 1
    """Exit code of the command line."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows: the message alone, as on the command line."""
        return [f"{type(self).__name__}: {self}"]


class InputError(XnasError):
    """Invalid input from the user: configuration, data, run directory or code."""

    exit_code = 2


class RunInUseError(InputError):
    """A run directory is in use by another search process."""

    def __init__(self, path: object) -> None:
        super().__init__(f"another process is searching in {path}")


class NotApplicable(InputError):
    """An attribution method cannot be applied to this kind of model."""


class RunError(XnasError):
    """A run cannot continue, for a reason outside its configuration."""


class RankDiedError(RunError):
    """Another rank of the same job or group has died."""


_TEMPORARY = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)


def is_temporary(error: BaseException) -> bool:
    """Return whether a disk or its server caused an error, so that a restart may succeed."""
    return isinstance(error, OSError) and error.errno in _TEMPORARY


def cannot_write(what: object, error: OSError) -> XnasError:
    """Return the error for a file that cannot be written: a ``RunError`` if the disk is full."""
    kind = RunError if is_temporary(error) else InputError
    return kind(f"{what} cannot be written: {error}")


def suggest(given: str, allowed: Iterable[str]) -> str:
    """Describe a wrong name, the nearest allowed name and all allowed names.

    For example ``'eror' (did you mean 'error'? allowed: error, flops, parameters)``.
    """
    names = sorted({*map(str, allowed)})
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{given!r} ({hint}allowed: {', '.join(names)})"
