"""Keeping what C++ code prints from the messages for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced_native_code() -> Iterator[None]:
    """Inside, nothing reaches the process's stderr.

    TensorFlow's converters and their interpreters print how they work past Python and past
    ``TF_CPP_MIN_LOG_LEVEL``; what fails is raised besides.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
