"""Finds this host's cache directory, which is ``$XDG_CACHE_HOME/xnas-tf`` or a temporary one."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


def cache_folder(entry: str = "") -> Path:
    """Return the path of the cache directory or of an entry in it, which may not exist yet.

    It is in ``private_folder`` if the usual directory cannot be written and lacks the entry.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    usual = Path(base) / "xnas-tf" / entry
    if os.path.exists(usual) or _can_be_created(usual):
        return usual
    return private_folder() / entry


@cache
def private_folder() -> Path:
    """Return a temporary folder that only this user can access."""
    folder = Path(tempfile.gettempdir()) / f"xnas-tf-{os.getuid()}"
    with suppress(OSError):  # for example, another user's file
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if is_own and not status.st_mode & 0o077:
            return folder
    return Path(tempfile.mkdtemp(prefix="xnas-tf-"))


def _can_be_created(path: Path) -> bool:
    if path.parts[0] == "~":  # there is no home directory
        return False
    nearest = next(filter(os.path.exists, path.absolute().parents))
    return os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK)


@contextmanager
def host_lock(name: str) -> Iterator[None]:
    """Hold a lock that only one process on this host can hold at a time."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # without a writable cache, there is nothing to protect
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks, such as some home directories
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
