"""Creates, locks and changes run directories."""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from xnas_tf.config import Config, differing_keys, dump_config, load_stored_config
from xnas_tf.errors import InputError, RunError, RunInUseError, cannot_write
from xnas_tf.storage.database import Database
from xnas_tf.utils.progress import log_message

CONFIG = "config.yaml"
DATABASE = "run.sqlite"
LOCK_SECONDS = 2.0
"""Seconds to wait for a lock, which ``xnas-tf status`` holds for a moment."""
_CHANGEABLE = (
    "distributed.",
    "training.checkpoint_minutes:",
    "search.candidates:",
    "search.hours:",
    "search.plateau:",
    "search.reuse:",
)
"""Keys that may change when a run is resumed, because earlier proposals and results are recorded or
do not depend on them."""


def model_path(run: Path, candidate: int) -> Path:
    """Return the path of a candidate's Keras model in a run directory."""
    return run / "models" / f"{candidate:05d}.keras"


def checkpoint_path(run: Path, candidate: int) -> Path:
    """Return the path of the checkpoint from which a candidate's training can resume."""
    return run / "checkpoints" / f"{candidate:05d}.npz"


def now() -> str:
    """Return the current UTC time in the database's format, ISO 8601 with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: a kill or a power cut leaves no incomplete file at its path.

    Raises:
        OSError: If it cannot be written, with the path. Nothing is left that would fill the disk.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        with draft.open("xb") as file:  # never through a link that somebody else put there
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # otherwise the file may be empty after a power cut
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_drafts(path: Path) -> None:
    """Remove files that killed processes left half-written in a locked run directory."""
    for pattern in ("models/.*.keras.*", "checkpoints/.*.npz.*"):
        for draft in path.glob(pattern):
            draft.unlink(missing_ok=True)


@contextmanager
def locked_run_directory(path: Path, config: Config, fresh: bool) -> Iterator[Database]:
    """Create a run directory, or open it to resume, and lock it; yield its database for writing.

    Nothing in the directory is changed before it is locked. ``fresh`` moves an existing run to
    ``PATH.1``, or the next free number, and starts a new one; without it, the configuration must
    match that of the existing run.

    Raises:
        InputError: If the directory contains something else or a run with a different
            configuration, or cannot be written for a reason other than a full or failing disk.
        RunInUseError: If another process holds the lock; see ``locked``.
        RunError: If the directory cannot be written, as on a full disk.
    """
    _make_directory(path, fresh)
    with locked(path), closing(open_database(path, config)) as database:
        yield database


def open_database(path: Path, config: Config) -> Database:
    """Open the database of a locked run directory, and create missing files in the directory.

    The configuration of an existing run is not changed; see ``save_config``.
    """
    with _write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        files = [*path.glob("models/*"), *path.glob("checkpoints/*")]
        if files and not (path / DATABASE).is_file():  # they would count as those of new candidates
            raise InputError(
                f"{path} has models or checkpoints, but no {DATABASE} that describes them: restore "
                "it, or use `fresh` to move the directory aside and start again"
            )
        if (path / CONFIG).is_file():
            config_changes(path, config)
        else:
            save_config(path, config)
        (path / "models").mkdir(exist_ok=True)  # last: a folder with only this is not a run
    return Database(path / DATABASE, create=True)


def save_config(path: Path, config: Config) -> None:
    """Write the configuration of a resumed run into its directory."""
    with _write_errors(path):
        write_atomically(path / CONFIG, dump_config(config).encode())


@contextmanager
def locked(path: Path, patience: float | None = None) -> Iterator[None]:
    """Lock a run directory, so that only one process at a time searches in it.

    Waits ``patience`` seconds, or ``LOCK_SECONDS``, for another process that holds the lock.

    Raises:
        RunInUseError: If another process holds the lock.
        RunError: If the directory cannot be locked.
    """
    # Not filelock.FileLock, which creates the directory again if it was moved aside.
    wait = LOCK_SECONDS if patience is None else patience
    handle = _lock(path, time.monotonic() + wait)
    try:
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Return whether another process has locked a run directory, and so is searching in it."""
    try:
        with locked(path, patience=0):
            return False
    except RunInUseError:
        return True
    except RunError:  # a read-only copy
        return False


def _lock(path: Path, deadline: float) -> int:
    """Wait for the lock of a directory, and return its open lock file."""
    while True:
        is_last = time.monotonic() > deadline
        try:
            if (handle := _try_lock(path)) is not None:
                return handle
            if is_last:
                raise RunInUseError(path)
        except OSError as error:
            # The directory is missing for a moment while --fresh moves a run aside.
            if is_last or not isinstance(error, FileNotFoundError):
                raise RunError(f"{path} cannot be locked: {error}") from error
        time.sleep(0.05)


def _try_lock(path: Path) -> int | None:
    """Return the open lock file of a directory, or None if another process holds the lock."""
    file = path / ".lock"
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    is_locked = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # In the meantime, the directory may have been moved aside and replaced by another one.
        is_locked = os.path.samestat(os.fstat(handle), os.stat(file))
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        if not is_locked:
            os.close(handle)
    return handle if is_locked else None


def _make_directory(path: Path, fresh: bool) -> None:
    with _write_errors(path):
        _check_free(path)  # only a run may be moved aside
        if fresh and path.is_dir():
            if not path.name:
                raise InputError(
                    f"`fresh` cannot move the current folder aside; allowed: `run_dir` "
                    f"{path.resolve()}, from another folder"
                )
            names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
            with locked(path):
                aside = next(each for each in names if not each.exists())
                path.rename(aside)
            log_message(f"moved the existing run to {aside}")
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError("permission denied, or the file system is read-only")


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Convert errors of the operating system to errors for users."""
    try:
        yield
    except OSError as error:
        raise cannot_write(f"run directory {path}", error) from error


def run_config(path: Path) -> Config:
    """Load the configuration of a run directory; see ``load_stored_config``."""
    modes: dict[str, bool] = {}
    if (path / DATABASE).is_file():
        with closing(Database(path / DATABASE)) as database:
            modes = database.fact("measured_modes") or {}
    return load_stored_config(path / CONFIG, modes)


def check_resumable(path: Path, config: Config) -> None:
    """Check that a directory contains no run and no other files, or a run to resume."""
    if (path / CONFIG).is_file():
        config_changes(path, config)
    else:
        _check_free(path)


def _check_free(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} exists and is not a directory")
    is_used = path.is_dir() and any(not child.name.startswith(".") for child in path.iterdir())
    if is_used and not (path / CONFIG).is_file():
        raise InputError(f"{path} exists and is not a run; nothing was changed there")


def config_changes(path: Path, config: Config) -> list[str]:
    """Return how a configuration differs from that of a run, as ``key: old -> new`` lines.

    An ``InputError`` is raised if the run cannot be resumed with this configuration.
    """
    changed = differing_keys(run_config(path), config)
    if not all(line.startswith(_CHANGEABLE) for line in changed):
        lines = "\n  ".join(changed)
        raise InputError(
            f"{path} is a run with another configuration:\n  {lines}\n"
            "Use `run_dir` for another run, or `fresh` to move it aside and start again."
        )
    return changed
