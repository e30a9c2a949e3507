"""A run directory and what it holds."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from xnas_tf.candidate import CHOICES, RECOMMENDED, Candidate
from xnas_tf.config import Config, differing_keys, dump_config, stored_config
from xnas_tf.errors import HeldError, InputError, RunError, suggest
from xnas_tf.evaluation.open_modes import with_modes
from xnas_tf.storage.database import Database
from xnas_tf.strategy.pareto import HypervolumeMeter, pareto_front
from xnas_tf.strategy.recommendation import Recommendation, recommend

CONFIG = "config.yaml"
RECORD = "run.sqlite"
LOCK_SECONDS = 2.0
"""Seconds to wait for who holds a run directory: xnas-tf status does so for an instant."""
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)
"""What is wrong with a disk or its server, not with a path: another start may do better."""
CHANGEABLE = (
    "distributed.",
    "training.checkpoint_minutes:",
    "search.candidates:",
    "search.hours:",
    "search.plateau:",
    "search.reuse:",
)
"""Keys on which neither a candidate's values nor what was proposed depend, or only by what is
recorded: a run may go on with other ones."""


class Run:
    """A run: its configuration and its candidates.

    Args:
        path: The run directory.

    Raises:
        InputError: If it is no run directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        missing = [n for n in (CONFIG, RECORD) if not (self.path / n).is_file()]
        if missing:
            what = "has no" if self.path.is_dir() else "does not exist, so it has no"
            near = sorted(str(p.parent) for p in Path("runs").glob(f"*/{RECORD}"))
            hint = f"; runs here: {', '.join(near[:10])}" if near else ""
            raise InputError(f"{self.path} is no run: it {what} {' and '.join(missing)}{hint}")
        self.config: Config = stored_config(self.path / CONFIG)

    @property
    def trained_config(self) -> Config:
        """The configuration with the modes that a trial chose in place of ``auto``, if it did."""
        return with_modes(self.config, self.fact("measured_modes") or {})

    def candidates(self) -> list[Candidate]:
        """All candidates by id, whatever their state."""
        record = Database(self.path / RECORD)
        try:
            return [self._with_model(candidate) for candidate in record.candidates()]
        finally:
            record.close()

    def candidate(self, number: int) -> Candidate:
        """The candidate with an id.

        Raises:
            InputError: If there is none.
        """
        everyone = {candidate.id: candidate for candidate in self.candidates()}
        if number not in everyone:
            allowed = f"1 to {max(everyone)}" if everyone else "none yet"
            raise InputError(f"{self.path} has no candidate {number}; allowed: {allowed}")
        return everyone[number]

    def pareto(self) -> list[Candidate]:
        """The Pareto-optimal candidates, best in the first objective first."""
        return ordered_front(self.candidates(), self.config)

    def recommendation(
        self, prefer: str | None = None, within: float | None = None
    ) -> Recommendation:
        """The Pareto-optimal candidate that is recommended, and why; see ``recommend``.

        Args:
            prefer: ``error``, the name of an objective, or ``knee``: what decides instead.
            within: Percentage points above the best error that are tolerated instead.

        Raises:
            InputError: If one of these is wrong.
        """
        return recommend(self.pareto(), self.config, self.validation_counts, prefer, within)

    @property
    def validation_counts(self) -> list[int] | None:
        """Validation images of each class; None in a run of an earlier version."""
        return self.fact("validation")

    @property
    def best(self) -> Candidate | None:
        """The candidate that is recommended; None if none is."""
        number = self.recommendation().id
        return None if number is None else self.candidate(number)

    def choose(self, which: int | str = RECOMMENDED) -> Candidate:
        """The candidate that somebody names.

        Args:
            which: ``recommended``; ``best``, the one with the least validation error on the
                front; or an id.

        Raises:
            InputError: If there is none.
        """
        if not isinstance(which, str):
            return self.candidate(which)
        if which not in CHOICES:
            raise InputError(f"--candidate {suggest(which, (*CHOICES, 'an id'))}")
        found = self.recommendation()
        number = found.id if which == RECOMMENDED else found.best
        if number is None:
            raise InputError(
                f"{self.path} has no {which} candidate: {found.why}. Name one by its id: "
                "--candidate ID"
            )
        return self.candidate(number)

    def choose_all(
        self, which: Sequence[int | str] | int | str = (), pareto: bool = False
    ) -> list[Candidate]:
        """The candidates that somebody names, each once.

        Args:
            which: See ``choose``; the recommended one if nobody is named and pareto is false.
            pareto: Whether the whole front is wanted too.

        Raises:
            InputError: If there is no such candidate, or no front.
        """
        front = self.pareto() if pareto else []
        if pareto and not front:
            raise InputError(f"{self.path} has no Pareto-optimal candidates yet")
        which = [which] if isinstance(which, str | int) else which
        named = which or ([] if pareto else [RECOMMENDED])
        chosen = [*map(self.choose, named), *front]
        return list({candidate.id: candidate for candidate in chosen}.values())

    def hypervolume(self) -> float:
        """Hypervolume of the front; see ``HypervolumeMeter`` for its unit."""
        everyone = self.candidates()
        return HypervolumeMeter(everyone, self.config)(pareto_front(everyone, self.config))

    def fact(self, name: str) -> object:
        """A recorded fact about the whole run; None where there is none."""
        record = Database(self.path / RECORD)
        try:
            return record.fact(name)
        finally:
            record.close()

    def groups(self) -> tuple[int, int]:
        """Groups that train, or trained last, at the same time, and the ranks in each."""
        split = self.fact("groups") or {"ranks": 1, "size": 1}
        return split["ranks"] // split["size"], split["size"]

    def is_searching(self) -> bool:
        """Whether a process is searching in it at this moment."""
        try:
            with locked(self.path, patience=0):
                return False
        except HeldError:
            return True
        except RunError:  # a read-only copy
            return False

    def _with_model(self, candidate: Candidate) -> Candidate:
        path = model_path(self.path, candidate.id)
        candidate.model_path = path if path.is_file() else None
        return candidate


def ordered_front(candidates: Iterable[Candidate], config: Config) -> list[Candidate]:
    """The Pareto-optimal ones of candidates, best in the first objective first."""
    first = config.objectives[0]
    front = pareto_front(candidates, config)
    return sorted(front, key=lambda c: (first.sign * c.objectives[first.name], c.id))


def load_run(path: str | Path) -> Run:
    """Opens a run directory; see ``Run``."""
    return Run(path)


def model_path(run: Path, candidate: int) -> Path:
    """Where a candidate's Keras model is kept."""
    return run / "models" / f"{candidate:05d}.keras"


def now() -> str:
    """This moment as the record has it: ISO 8601, UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def checkpoint_path(run: Path, candidate: int) -> Path:
    """Where a training that may be cut off can go on from."""
    return run / "checkpoints" / f"{candidate:05d}.npz"


@contextmanager
def held_directory(path: Path, config: Config, fresh: bool) -> Iterator[Database]:
    """Makes a run directory, or opens one to go on with, and holds it: see ``locked``. Nothing
    in it is changed before it is held.

    Args:
        path: The run directory.
        config: The configuration; must be the run's own where there is a run.
        fresh: Moves an existing run aside, to ``PATH.1`` or the next free number, and
            starts anew.

    Raises:
        InputError: If the directory holds something else, or a run of another configuration,
            or is no place to write to.
        HeldError: If another process holds it.
        RunError: If it cannot be written, as on a full disk.
    """
    _make_directory(path, fresh)
    with locked(path), closing(open_record(path, config)) as record:
        yield record


def open_record(path: Path, config: Config) -> Database:
    """The record in a run directory that is held, made where there is none; see
    ``held_directory``."""
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        if (path / CONFIG).is_file():
            _use_config(path, config)
        else:
            write_whole(path / CONFIG, dump_config(config).encode())
        (path / "models").mkdir(exist_ok=True)
    return Database(path / RECORD, create=True)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that a kill leaves the whole file or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    os.replace(draft, path)


@contextmanager
def locked(path: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Holds a run directory, for one search at a time.

    Args:
        path: The run directory.
        patience: Seconds to wait for another process that holds it.

    Raises:
        HeldError: If another process holds it.
        RunError: If that cannot be found out.
    """
    handle = _lock(path, time.monotonic() + patience)
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path, end: float) -> int:
    """The open lock file of a directory, once nobody else holds it."""
    while True:
        last = time.monotonic() > end
        try:
            if (handle := _try_lock(path)) is not None:
                return handle
        except OSError as error:
            # While --fresh moves a run aside, there is no directory for a moment.
            if last or not isinstance(error, FileNotFoundError):
                raise RunError(f"{path} cannot be locked: {error}") from error
        else:
            if last:
                raise HeldError(path)
        time.sleep(0.05)


def _try_lock(path: Path) -> int | None:
    handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    if _is_locked(handle) and _is_in(path, handle):
        return handle
    os.close(handle)
    return None


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_in(path: Path, handle: int) -> bool:
    """Whether a lock is the directory's still: who waited for it may find that the directory was
    moved aside meanwhile, and that another one is in its place."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path / ".lock"))
    except FileNotFoundError:
        return False


def remove_drafts(path: Path) -> None:
    """Removes what kills left half written in a run directory that is held."""
    for pattern in ("models/.*.keras.*", "checkpoints/.*.npz.*"):
        for draft in path.glob(pattern):
            draft.unlink(missing_ok=True)


def _make_directory(path: Path, fresh: bool) -> None:
    with _writing(path):
        if fresh and path.is_dir():
            with locked(path):
                path.rename(_free_name(path))
        if path.exists() and not (path / CONFIG).is_file() and any(_visible(path)):
            raise InputError(f"{path} exists and is no run; nothing was changed there")
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError("permission denied, or the file system is read-only")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = RunError if error.errno in PASSING else InputError
        raise kind(f"run directory {path} cannot be written: {error}") from error


def _visible(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InputError(f"{path} exists and is no directory")
    return [child for child in path.iterdir() if not child.name.startswith(".")]


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return aside


def _use_config(path: Path, config: Config) -> None:
    changed = differing_keys(stored_config(path / CONFIG), config)
    if all(line.startswith(CHANGEABLE) for line in changed):
        if changed:
            write_whole(path / CONFIG, dump_config(config).encode())
    else:
        lines = "\n  ".join(changed)
        raise InputError(
            f"{path} is a run with another configuration:\n  {lines}\n"
            "Use --run-dir for a new run beside it, or --fresh to move it aside and start anew."
        )
