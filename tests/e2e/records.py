"""What became of real searches."""

import sqlite3

import pytest

from tests.e2e.conftest import BIN
from xnas_tf.errors import InputError
from xnas_tf.storage.database import Database

needs_horovod = pytest.mark.skipif(
    not (BIN / "horovodrun").exists(), reason="Horovod is not installed (no compiler?)"
)


def check_whole(run, wanted):
    """The requested number is there, nothing twice, and the database is sound."""
    candidates = candidates_of(run)
    trained = [c for c in candidates if c.trained]
    assert len(trained) == wanted
    assert len({c.genotype for c in candidates}) == len(candidates)
    assert sorted(c.finish_order for c in candidates) == list(range(1, len(candidates) + 1))
    check = sqlite3.connect(run / "run.sqlite").execute("PRAGMA integrity_check").fetchone()
    assert check == ("ok",)
    return candidates


def candidates_of(run):
    """All candidates, without the configuration: it may name a user's module. None before there
    is a whole record."""
    try:
        record = Database(run / "run.sqlite")
    except InputError:
        return []
    try:
        return record.candidates()
    finally:
        record.close()
