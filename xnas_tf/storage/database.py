"""The SQLite database of a run: every finished evaluation is committed immediately."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, RunError

VERSION = 4
"""Stored as the ``format`` fact. Increase it with every change to ``CREATE``, and add a migration
from the previous version to ``MIGRATIONS``."""
CREATE = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE candidates (
    id INTEGER PRIMARY KEY, genotype TEXT NOT NULL, hyperparameters TEXT NOT NULL,
    parents TEXT NOT NULL, generation INTEGER NOT NULL, seed INTEGER NOT NULL,
    epochs INTEGER NOT NULL, promoted_from INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL,
    objectives TEXT NOT NULL, metrics TEXT NOT NULL, seconds TEXT NOT NULL,
    history TEXT NOT NULL, versions TEXT NOT NULL, started TEXT NOT NULL, finished TEXT NOT NULL,
    "group" INTEGER NOT NULL, finished_before INTEGER NOT NULL, finish_order INTEGER NOT NULL,
    lost_groups INTEGER NOT NULL, digest TEXT NOT NULL, reused_from TEXT NOT NULL,
    UNIQUE (genotype, epochs)
)""",
)
"""SQL statements that create the tables of the current version."""
MIGRATIONS: dict[int, tuple[str, ...]] = {
    3: (
        "ALTER TABLE candidates RENAME COLUMN answers_before TO finished_before",
        "ALTER TABLE candidates RENAME COLUMN answer TO finish_order",
        "ALTER TABLE candidates RENAME COLUMN deaths TO lost_groups",
        "ALTER TABLE candidates RENAME COLUMN answered_by TO reused_from",
    )
}
"""SQL statements that bring a database to the next version, by its version. Versions before 3 were
never released."""
_JSON = ("hyperparameters", "parents", "objectives", "metrics", "seconds", "history", "versions")
_COLUMNS = tuple(f.name for f in fields(Candidate) if f.name not in ("model_path", "module"))
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_UPDATES = ", ".join(f'"{name}"=excluded."{name}"' for name in _COLUMNS)
# Not OR REPLACE, which would delete another candidate with the same genotype.
_SAVE = (
    f"INSERT INTO candidates ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {_UPDATES}"
)
_TO_JSON = json.JSONEncoder(allow_nan=False).encode


class Database:
    """Candidates of one run, in ``run.sqlite``.

    With ``create``, the file is opened for writing, and created or migrated from an earlier version
    if needed. Otherwise, it is only read, and a copy in memory is migrated if necessary.

    Raises:
        InputError: If the file is not the database of a run, or was written by a later version, or
            if SQLite would delete another file.
        RunError: If the file cannot be written.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        self._path = path
        # The watchdog's thread writes when a candidate hangs; the main thread writes everything
        # else.
        self._lock = threading.RLock()
        _check_journal(path)
        self._is_open = False  # whether there is a transaction
        with self._errors(RunError if create else InputError):
            # Reading must be able to roll back an interrupted commit.
            is_writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
            mode = "rwc" if create else "rw" if is_writable else "ro"
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._connection = sqlite3.connect(uri, uri=True, timeout=60, check_same_thread=False)
            # Even a power cut must not undo a commit.
            self._connection.execute("PRAGMA synchronous=FULL")
            if create:
                self._migrate()
            elif self._is_empty() or self._version() != VERSION:
                self._use_migrated_copy()

    def _is_empty(self) -> bool:
        """Return whether the search ended before it had created the tables, as on a full disk."""
        return not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()

    def _version(self) -> int:
        stored = self.fact("format")
        if str(stored) not in map(str, (*MIGRATIONS, VERSION)):
            raise InputError(
                f"{self._path} has format {stored}, which this version of xnas-tf cannot read"
            )
        return int(stored)

    def _migrate(self) -> None:
        """Create the tables or bring them up to date, in one transaction."""
        tables = "SELECT 1 FROM sqlite_master WHERE name='facts'"
        with self.transaction():
            statements: tuple[str, ...] = CREATE
            if self._connection.execute(tables).fetchone():
                steps = range(self._version(), VERSION)
                statements = tuple(each for step in steps for each in MIGRATIONS[step])
            for statement in statements:
                self._connection.execute(statement)
            if statements:
                self.set_fact("format", str(VERSION))

    def _use_migrated_copy(self) -> None:
        """Migrate a copy in memory, as an earlier version may still be writing to the file."""
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        with closing(self._connection) as original:
            original.backup(copy)
        self._connection = copy
        self._migrate()
        copy.execute("PRAGMA query_only=ON")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def fact(self, name: str) -> Any:
        """Return a fact about the whole run, as a JSON value; None if it was never set."""
        with self._lock, self._errors(InputError):
            query = self._connection.execute("SELECT value FROM facts WHERE name=?", (name,))
            row = query.fetchone()
        return json.loads(row[0]) if row else None

    def set_fact(self, name: str, value: Any) -> None:
        """Commit a fact about the whole run, replacing its earlier value."""
        with self.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    def save(self, candidate: Candidate) -> None:
        """Commit all fields of a new or changed candidate.

        A ``RunError`` is raised if another has the same genotype and number of epochs.
        """
        values = {name: getattr(candidate, name) for name in _COLUMNS}
        row = [_TO_JSON(value) if name in _JSON else value for name, value in values.items()]
        with self.transaction():
            self._connection.execute(_SAVE, row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes when the outermost context ends, or none of them if it fails.

        Raises:
            RunError: If the file cannot be written, or an earlier failure undid the transaction.
        """
        with self._lock:
            if self._is_open:
                self._check_not_undone()
                yield
                return
            with self._errors(RunError), self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._is_open = True
                try:
                    yield
                    self._check_not_undone()  # somebody may have caught the error
                finally:
                    self._is_open = False

    def _check_not_undone(self) -> None:
        if not self._connection.in_transaction:  # SQLite undoes it if the disk fails
            raise RunError(
                f"{self._path}: an earlier failure has undone the transaction. Is the disk full?"
            )

    def candidates(self) -> list[Candidate]:
        """Return all candidates, by id."""
        with self._lock, self._errors(InputError):
            rows = self._connection.execute(f"SELECT {_NAMES} FROM candidates ORDER BY id")
            return [_candidate(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    @contextmanager
    def _errors(self, kind: type[Exception]) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise kind(
                f"{self._path}: {error}. Is the disk full or read-only, or is this not the "
                "database of a run?"
            ) from error


_LINK = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal that names another file (https://www.sqlite.org/fileformat.html)."""


def _check_journal(path: Path) -> None:
    """Reject a journal that names another file, which SQLite would delete when it reads the run.

    SQLite writes such journals for transactions on several databases, and a run has only one.
    """
    file = path.resolve()  # as SQLite does
    journal = file.with_name(f"{file.name}-journal")
    if not journal.is_file():
        return
    with suppress(OSError), journal.open("rb") as stream:  # a search may remove it at any time
        length = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, length - len(_LINK)))
        if stream.read() == _LINK:
            raise InputError(f"{journal} is not the journal of a run: remove it")


def _candidate(row: dict[str, Any]) -> Candidate:
    row |= {name: json.loads(row[name]) for name in _JSON}
    return Candidate(**{**row, "parents": tuple(row["parents"])})
