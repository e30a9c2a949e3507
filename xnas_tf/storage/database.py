"""The SQLite record of a run: every finished evaluation is committed at once."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, RunError

_JSON = ("hyperparameters", "parents", "objectives", "metrics", "seconds", "history", "versions")
_COLUMNS = tuple(field.name for field in fields(Candidate) if field.name != "model_path")
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SAVE = f"INSERT OR REPLACE INTO candidates ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS candidates (
    id INTEGER PRIMARY KEY, genotype TEXT NOT NULL, hyperparameters TEXT NOT NULL,
    parents TEXT NOT NULL, generation INTEGER NOT NULL, seed INTEGER NOT NULL,
    epochs INTEGER NOT NULL, promoted_from INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL,
    objectives TEXT NOT NULL, metrics TEXT NOT NULL, seconds TEXT NOT NULL,
    history TEXT NOT NULL, versions TEXT NOT NULL, started TEXT NOT NULL, finished TEXT NOT NULL,
    "group" INTEGER NOT NULL, answers_before INTEGER NOT NULL, answer INTEGER NOT NULL,
    deaths INTEGER NOT NULL, digest TEXT NOT NULL, answered_by TEXT NOT NULL,
    UNIQUE (genotype, epochs)
);
"""
_EMPTY = {dict: "{}", list: "[]", tuple: "[]"}
_TO_JSON = json.JSONEncoder(allow_nan=False).encode
FORMAT = "3"


class Database:
    """Candidates of one run, in ``run.sqlite``.

    Args:
        path: The database file.
        create: Whether to make it where there is none; else it is only read.

    Raises:
        InputError: If the file is no record of a run.
        RunError: If it cannot be written.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        self._path = path
        # The watch's thread writes when a candidate hangs, the main thread all else.
        self._turn = threading.RLock()
        with self._errors(InputError if not create else RunError):
            self._connection = self._connect("rwc" if create else _reading_mode(path))
            # A power cut must not undo a commit either.
            self._connection.execute("PRAGMA synchronous=FULL")
            if create:
                with self.together():  # whoever reads finds the whole or nothing
                    for statement in _SCHEMA.split(";\n"):
                        self._connection.execute(statement)
                    if self.fact("format") is None:
                        self.set_fact("format", FORMAT)
            if self.fact("format") != FORMAT:
                raise InputError(f"{path} has format {self.fact('format')}; wanted: {FORMAT}")

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=60,
            check_same_thread=False,
        )

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def fact(self, name: str) -> Any:
        """A fact about the whole run; None where it was never set."""
        with self._turn, self._errors(InputError):
            query = self._connection.execute("SELECT value FROM facts WHERE name=?", (name,))
            row = query.fetchone()
        return json.loads(row[0]) if row else None

    def set_fact(self, name: str, value: Any) -> None:
        """Records a fact about the whole run, replacing its earlier value."""
        with self.together():
            self._connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    def save(self, candidate: Candidate) -> None:
        """Commits a candidate, new or with more known of it."""
        row = [_encode(name, getattr(candidate, name)) for name in _COLUMNS]
        with self.together():
            self._connection.execute(_SAVE, row)

    def update(self, number: int, values: Mapping[str, Any]) -> None:
        """Commits what is newly known of a recorded candidate, by attribute.

        Takes half the time of ``save``, which writes what has not changed too.
        """
        names = [name for name in _COLUMNS if name in values]
        changes = ", ".join(f'"{name}"=?' for name in names)
        row = [_encode(name, values[name]) for name in names]
        with self.together():
            self._connection.execute(f"UPDATE candidates SET {changes} WHERE id=?", [*row, number])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Inside, everything is committed at once when the outermost such block ends; if it
        ends in an error, nothing is."""
        with self._turn:
            if self._connection.in_transaction:
                yield
                return
            with self._errors(RunError), self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield

    def candidates(self) -> list[Candidate]:
        """All candidates by id."""
        with self._turn, self._errors(InputError):
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
                f"{self._path}: {error}. Is the disk full or read-only, or is this no run's record?"
            ) from error


def _reading_mode(path: Path) -> str:
    """Writable where possible: after a kill in mid-commit SQLite must roll back to read."""
    return "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"


def _encode(name: str, value: Any) -> Any:
    if name not in _JSON:
        return value
    return _TO_JSON(value) if value else _EMPTY[type(value)]  # most are empty at first


def _decode(name: str, value: Any) -> Any:
    if name not in _JSON:
        return value
    value = json.loads(value)
    return tuple(value) if name == "parents" else value
