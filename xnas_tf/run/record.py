"""The SQLite record of a run: every finished evaluation is committed at once."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, RunError

_JSON = ("hyperparameters", "parents", "objectives", "metrics", "seconds", "history", "versions")
_COLUMNS = tuple(field.name for field in fields(Candidate) if field.name != "model_path")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS candidates (
    id INTEGER PRIMARY KEY, genotype TEXT NOT NULL UNIQUE, hyperparameters TEXT NOT NULL,
    parents TEXT NOT NULL, generation INTEGER NOT NULL, seed INTEGER NOT NULL,
    epochs INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    objectives TEXT NOT NULL, metrics TEXT NOT NULL, seconds TEXT NOT NULL,
    history TEXT NOT NULL, versions TEXT NOT NULL, started TEXT NOT NULL, finished TEXT NOT NULL
);
"""
FORMAT = "1"


class Record:
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
        with self._errors(InputError if not create else RunError):
            self._connection = self._connect("rwc" if create else _reading_mode(path))
            # A power cut must not undo a commit either.
            self._connection.execute("PRAGMA synchronous=FULL")
            if create:
                with self._connection:
                    self._connection.executescript(_SCHEMA)
                if self.fact("format") is None:
                    self.set_fact("format", FORMAT)
            if self.fact("format") != FORMAT:
                raise InputError(f"{path} has format {self.fact('format')}; wanted: {FORMAT}")

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}", uri=True, timeout=60
        )

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def fact(self, name: str) -> Any:
        """A fact about the whole run; None where it was never set."""
        with self._errors(InputError):
            query = self._connection.execute("SELECT value FROM facts WHERE name=?", (name,))
            row = query.fetchone()
        return json.loads(row[0]) if row else None

    def set_fact(self, name: str, value: Any) -> None:
        """Records a fact about the whole run, replacing its earlier value."""
        with self._errors(RunError), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    def save(self, candidate: Candidate) -> None:
        """Commits a candidate, new or with more known of it."""
        row = [_encode(name, getattr(candidate, name)) for name in _COLUMNS]
        marks = ", ".join("?" * len(row))
        with self._errors(RunError), self._connection:
            self._connection.execute(
                f"INSERT OR REPLACE INTO candidates ({', '.join(_COLUMNS)}) VALUES ({marks})", row
            )

    def candidates(self) -> list[Candidate]:
        """All candidates by id."""
        return self._select("ORDER BY id")

    def find(self, genotype: str) -> Candidate | None:
        """The candidate with a genotype; None where there is none yet."""
        found = self._select("WHERE genotype=?", genotype)
        return found[0] if found else None

    def next_id(self) -> int:
        """The id that comes after the last."""
        (last,) = self._connection.execute("SELECT MAX(id) FROM candidates").fetchone()
        return (last or 0) + 1

    def _select(self, clause: str, *values: Any) -> list[Candidate]:
        with self._errors(InputError):
            rows = self._connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM candidates {clause}", values
            ).fetchall()
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
    return json.dumps(value, allow_nan=False) if name in _JSON else value


def _decode(name: str, value: Any) -> Any:
    if name not in _JSON:
        return value
    value = json.loads(value)
    return tuple(value) if name == "parents" else value
