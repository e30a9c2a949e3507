"""The tables of ``run.sqlite``, their version, and the migrations from earlier versions."""

from __future__ import annotations

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
