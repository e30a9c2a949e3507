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
from xnas_tf.storage import schema

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
            mode = "rwc" if create else _reading_mode(path)
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._connection = sqlite3.connect(uri, uri=True, timeout=60, check_same_thread=False)
            # Even a power cut must not undo a commit.
            self._connection.execute("PRAGMA synchronous=FULL")
            if create:
                self._migrate()
            elif self._version() != schema.VERSION:
                self._use_migrated_copy()

    def _version(self) -> int:
        stored = self.fact("format")
        if str(stored) not in map(str, (*schema.MIGRATIONS, schema.VERSION)):
            raise InputError(
                f"{self._path} has format {stored}, which this version of xnas-tf cannot read"
            )
        return int(stored)

    def _migrate(self) -> None:
        """Create the tables or bring them up to date, in one transaction."""
        tables = "SELECT 1 FROM sqlite_master WHERE name='facts'"
        with self.transaction():
            is_new = not self._connection.execute(tables).fetchone()
            steps = () if is_new else range(self._version(), schema.VERSION)
            later = [statement for step in steps for statement in schema.MIGRATIONS[step]]
            statements = schema.CREATE if is_new else later
            for statement in statements:
                self._connection.execute(statement)
            if statements:
                self.set_fact("format", str(schema.VERSION))

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

        Raises:
            RunError: If the file cannot be written, or another candidate has the same genotype and
                number of epochs.
        """
        row = [_encode(name, getattr(candidate, name)) for name in _COLUMNS]
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
            return [
                Candidate(**{n: _decode(n, v) for n, v in zip(_COLUMNS, row, strict=True)})
                for row in rows
            ]

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


def _reading_mode(path: Path) -> str:
    """Return the SQLite mode for reading, which must be able to roll back an interrupted commit."""
    return "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"


def _encode(name: str, value: Any) -> Any:
    return _TO_JSON(value) if name in _JSON else value


def _decode(name: str, value: Any) -> Any:
    if name not in _JSON:
        return value
    decoded = json.loads(value)
    return tuple(decoded) if name == "parents" else decoded
