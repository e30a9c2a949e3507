"""Warnings about a line of the user's code."""

from __future__ import annotations

import inspect
import os
import warnings

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def warn_user(message: str) -> None:
    """Warn about the line outside this package that called it, through any number of functions.

    From Python 3.12 on, ``warnings.warn`` has ``skip_file_prefixes`` for this.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
