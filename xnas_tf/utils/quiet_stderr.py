"""Silences the output of native code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced_native_code() -> Iterator[None]:
    """Discard the process's output on stderr inside the context.

    TensorFlow's converters and interpreters log directly to stderr, regardless of
    ``TF_CPP_MIN_LOG_LEVEL``. Errors in this native code are also raised as exceptions.
    """
    try:
        original = os.dup(2)
    except OSError:  # the process was started without stderr
        yield
        return
    try:
        _flush()
        with open(os.devnull, "wb") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        _flush()
        os.dup2(original, 2)
        os.close(original)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
