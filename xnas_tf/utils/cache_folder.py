"""The place on this host for what is made once: ``$XDG_CACHE_HOME/xnas-tf``."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """The folder; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "xnas-tf"


@contextmanager
def host_lock(name: str) -> Iterator[None]:
    """One process of this host at a time, whatever job it belongs to."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # no home to write to: nor can anything be put into it
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
