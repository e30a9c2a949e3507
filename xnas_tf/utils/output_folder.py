"""Creates directories either completely or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnas_tf.errors import InputError, cannot_write


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary directory to write into, which is renamed to ``path`` at the end.

    If the process is killed or an error occurs, ``path`` does not exist.

    Raises:
        InputError: If ``path`` already exists or cannot be written.
        RunError: If the disk is full.
    """
    check_new(path)
    try:
        draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        draft.mkdir(parents=True)
        try:
            yield draft
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_new(path: Path) -> Path:
    """Return a path, or raise an ``InputError`` if the path already exists."""
    if path.exists():
        raise InputError(f"{path} already exists and was not touched; choose another with `out`")
    return path
