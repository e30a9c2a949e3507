"""Creates directories either completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnas_tf.errors import InputError


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Create a directory, its parents and its contents atomically.

    If the process is killed or an error occurs, ``path`` does not exist.

    Yields:
        A temporary directory to write into, which is renamed to ``path`` at the end.

    Raises:
        InputError: If ``path`` already exists or cannot be written.
    """
    check_new(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            yield draft
            draft.chmod(0o777 & ~_umask())
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error


def check_new(path: Path) -> Path:
    """Return a path, or raise an ``InputError`` if the path already exists."""
    if path.exists():
        raise InputError(f"{path} already exists and was not touched; choose another with `out`")
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
