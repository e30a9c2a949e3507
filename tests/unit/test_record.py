import errno
import fcntl
import os
import resource
import signal
import sqlite3
import struct
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config, load_config
from xnas_tf.errors import InputError, RunError, XnasError
from xnas_tf.storage import database as database_module
from xnas_tf.storage import run_directory as directory
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import Run, load_run
from xnas_tf.storage.run_directory import (
    DATABASE,
    locked,
    locked_run_directory,
    model_path,
    remove_drafts,
    save_config,
    write_atomically,
)
from xnas_tf.utils.output_folder import atomic_folder
from xnas_tf.utils.progress import LOGGER

FULL = Candidate(
    id=3,
    genotype="g",
    hyperparameters={"a": 1, "b": "x", "c": 0.1, "d": True},
    parents=(1, 2),
    generation=1,
    seed=7,
    epochs=3,
    state="done",
    objectives={"error": 0.1},
    metrics={"introspectability/grad_cam": 1 / 3},
    seconds={"train": 1.5},
    history=[{"loss": 0.5}],
    versions={"keras": "3"},
    started="s",
    finished="f",
    finished_before=1,
    finish_order=2,
    lost_groups=1,
    reused_from="candidate 1 of other",
)


TABLES = ("facts", "candidates")
FORMAT = "SELECT * FROM facts WHERE name='format'"


def make(path, config=None):
    with locked_run_directory(path, config or Config(), fresh=False):
        pass


def test_a_candidate_comes_back_as_it_was(tmp_path):
    record = Database(tmp_path / "run.sqlite", create=True)
    record.save(FULL)
    record.set_fact("generations", 4)
    record.close()
    again = Database(tmp_path / "run.sqlite")
    assert again.candidates() == [FULL] and again.fact("generations") == 4


def test_what_is_saved_together_is_there_whole_or_not_at_all(tmp_path):
    record = Database(tmp_path / "run.sqlite", create=True)
    with pytest.raises(KeyError), record.transaction():
        record.save(FULL)
        with record.transaction():
            record.set_fact("generations", 1)
        raise KeyError
    assert Database(tmp_path / "run.sqlite").candidates() == []
    assert record.fact("generations") is None
    with record.transaction():
        record.save(FULL)
    assert Database(tmp_path / "run.sqlite").candidates() == [FULL]


def test_nothing_is_saved_once_the_disk_has_undone_a_transaction(tmp_path):
    record = Database(tmp_path / "run.sqlite", create=True)
    with pytest.raises(RunError, match="undone"), record.transaction():  # not as if it were saved
        record.save(FULL)
        record._connection.rollback()  # as SQLite does by itself after a failed write
        for change in (lambda: record.save(replace(FULL, id=4, genotype="h")),) * 2:
            with pytest.raises(RunError, match="undone"):
                change()
    assert Database(tmp_path / "run.sqlite").candidates() == []
    record.save(FULL)
    assert Database(tmp_path / "run.sqlite").candidates() == [FULL]


def test_a_run_goes_on_if_the_disk_was_full_before_it_had_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "CREATE", ("CREATE TABLE facts (name TEXT)", "no SQL"))
    with pytest.raises(RunError):  # as SQLite does it: the file exists, and is empty
        make(tmp_path / "run")
    assert (tmp_path / "run" / "run.sqlite").stat().st_size == 0
    monkeypatch.undo()
    run = Run(tmp_path / "run")
    assert run.candidates() == [] and run.fact("format") == str(database_module.VERSION)
    assert (tmp_path / "run" / "run.sqlite").stat().st_size == 0  # reading changes nothing
    make(tmp_path / "run")
    assert Run(tmp_path / "run").candidates() == [] == Run(tmp_path / "run").pareto()


def test_a_power_cut_leaves_no_empty_file(tmp_path, monkeypatch):
    path, written = tmp_path / "model", []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (written.append(path.exists()), sync(file)))
    write_atomically(path, b"whole")
    assert written == [False] and path.read_bytes() == b"whole"  # on the disk, then at its place


def test_a_write_that_fails_leaves_nothing_that_fills_the_disk_and_names_its_file(tmp_path):
    path, before = tmp_path / "model", resource.getrlimit(resource.RLIMIT_FSIZE)
    path.write_bytes(b"old")
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(OSError, match="model") as caught:
            write_atomically(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_what_kills_left_half_written_is_removed_and_nothing_else(tmp_path):
    make(tmp_path / "run")
    write_atomically(model_path(tmp_path / "run", 1), b"whole")
    for name in (".00002.keras.77", "mine.keras"):
        (tmp_path / "run" / "models" / name).write_bytes(b"half")
    remove_drafts(tmp_path / "run")
    kept = {p.name for p in (tmp_path / "run" / "models").iterdir()}
    assert kept == {"00001.keras", "mine.keras"}


def test_a_file_is_never_written_through_a_link(tmp_path):
    """Somebody else may have put a link there, as the name of a draft can be guessed."""
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / f".report.html.{os.getpid()}").symlink_to(tmp_path / "mine.txt")
    write_atomically(tmp_path / "report.html", b"new")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "report.html").read_bytes() == b"new"


@pytest.mark.parametrize(("create", "name"), [(False, "run"), (True, "run"), (False, "link")])
def test_reading_a_run_deletes_no_other_file(create, name, tmp_path):
    """SQLite deletes the file that a journal names as that of several databases."""
    file, mine = tmp_path / "run.sqlite", tmp_path / "mine.txt"
    mine.write_text("mine")
    record = Database(file, create=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA cache_size=1")
        other.execute("BEGIN")
        for number in range(100):  # more than fits into the cache, so the journal is in use
            other.execute("INSERT INTO facts VALUES (?, ?)", (str(number), "1" * 2000))
        content, journal = (Path(f"{file}{end}").read_bytes() for end in ("", "-journal"))
    record.close()
    file.write_bytes(content)
    target = os.fsencode(mine)
    ending = struct.pack(">II", len(target), sum(target)) + bytes.fromhex("d9d505f920a163d7")
    journal += struct.pack(">I", 2**30 // 4096 + 1) + target + ending
    Path(f"{file}-journal").write_bytes(journal)
    (tmp_path / "link.sqlite").symlink_to(file)
    with pytest.raises(InputError, match="run.sqlite-journal is not the journal of a run"):
        Database(tmp_path / f"{name}.sqlite", create)
    assert mine.read_text() == "mine"


def test_who_looks_for_an_instant_stops_no_search(tmp_path):
    make(tmp_path / "run")
    release = threading.Timer(0.3, lambda: os.close(handle))
    handle = os.open(tmp_path / "run" / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    release.start()
    with locked(tmp_path / "run", patience=60):
        assert Run(tmp_path / "run").is_searching()


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "run.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="run.sqlite"):
        Database(tmp_path / "run.sqlite")
    with pytest.raises(InputError, match="none.sqlite"):
        Database(tmp_path / "none.sqlite")
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="other.sqlite"):
        Database(tmp_path / "other.sqlite")


VERSION_3 = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE candidates (
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
INSERT INTO facts VALUES ('format', '"3"'), ('generations', '4');
INSERT INTO candidates VALUES (
    3, 'g', '{"a": 1, "b": "x", "c": 0.1, "d": true}', '[1, 2]', 1, 7, 3, 0, 'done', '',
    '{"error": 0.1}', '{"introspectability/grad_cam": 0.3333333333333333}', '{"train": 1.5}',
    '[{"loss": 0.5}]', '{"keras": "3"}', 's', 'f', -1, 1, 2, 1, '', 'candidate 1 of other');
"""


@pytest.fixture
def version_3(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_3)
    return path


@pytest.mark.parametrize("create", [False, True])
def test_databases_of_version_3_can_be_opened(version_3, create):
    database = Database(version_3, create)
    assert database.candidates() == [FULL] and database.fact("generations") == 4


def test_a_new_database_has_the_tables_of_a_migrated_one(version_3, tmp_path):
    columns = []
    for path in (version_3, tmp_path / "new.sqlite"):
        Database(path, create=True).close()
    for path in (version_3, tmp_path / "new.sqlite"):
        with closing(sqlite3.connect(path)) as connection:
            tables = [list(connection.execute(f"PRAGMA table_info({t})")) for t in TABLES]
            columns.append((tables, connection.execute(FORMAT).fetchall()))
    assert columns[0] == columns[1]


def test_databases_of_earlier_versions_are_migrated(version_3, monkeypatch):
    before = version_3.read_bytes()
    monkeypatch.setattr(database_module, "VERSION", 6)
    steps = {4: ("CREATE TABLE x (y)",), 5: ("UPDATE candidates SET reason='odd'",)}
    monkeypatch.setattr(database_module, "MIGRATIONS", database_module.MIGRATIONS | steps)
    migrated = [replace(FULL, reason="odd")]
    reader = Database(version_3)
    assert reader.candidates() == migrated and version_3.read_bytes() == before
    with pytest.raises(RunError, match="readonly"):
        reader.save(FULL)
    Database(version_3, create=True).close()
    assert version_3.read_bytes() != before and Database(version_3).candidates() == migrated
    monkeypatch.undo()
    for create in (False, True):
        with pytest.raises(InputError, match="has format 6, which this version .* cannot read"):
            Database(version_3, create)


def test_a_failed_migration_changes_nothing(version_3, monkeypatch):
    steps = {3: ("UPDATE candidates SET reason='odd'", "DROP TABLE missing")}
    monkeypatch.setattr(database_module, "MIGRATIONS", steps)
    with pytest.raises(RunError, match="no such table: missing"):
        Database(version_3, create=True)
    monkeypatch.undo()
    assert Database(version_3).candidates() == [FULL]


def test_a_run_goes_on_with_its_own_configuration_only(tmp_path):
    path = tmp_path / "run"
    make(path)
    make(path)
    with pytest.raises(InputError, match=r"training.epochs: 3 -> 4"):
        make(path, load_config(Config(), ["training.epochs=4"]))
    assert Run(path).config == Config()


@pytest.mark.parametrize("file", ["models/00001.keras", "checkpoints/00001.npz"])
def test_files_of_a_lost_database_are_not_those_of_new_candidates(tmp_path, file):
    make(tmp_path / "run")
    (tmp_path / "run" / DATABASE).unlink()
    make(tmp_path / "run")
    (tmp_path / "run" / DATABASE).unlink()
    (tmp_path / "run" / file).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / file).write_text("of the old run")
    with pytest.raises(InputError, match="but no run.sqlite that describes them: restore it, or"):
        make(tmp_path / "run")
    with locked_run_directory(tmp_path / "run", Config(), fresh=True):
        assert (tmp_path / "run.1" / file).is_file() and not (tmp_path / "run" / file).exists()


def test_fresh_moves_aside_and_deletes_nothing(tmp_path, caplog):
    caplog.set_level("INFO", LOGGER.name)
    path = tmp_path / "run"
    for number in range(3):
        with locked_run_directory(path, Config(), fresh=True) as record:
            record.set_fact("number", number)
    kept = {p.name: Run(p).fact("number") for p in tmp_path.iterdir()}
    assert kept == {"run": 2, "run.1": 0, "run.2": 1}
    moved = [message for message in caplog.messages if message.startswith("moved")]
    assert moved == [f"moved the existing run to {path}.{number}" for number in (1, 2)]


def test_the_current_folder_cannot_be_moved_aside(tmp_path, monkeypatch):
    make(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    with pytest.raises(InputError, match=f"current folder aside; allowed: .* {tmp_path / 'run'},"):
        locked_run_directory(Path("."), Config(), fresh=True).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["run"] and Run(".").config == Config()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    folder = tmp_path / "university"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(InputError, match="is not a run; nothing was changed there"):
            locked_run_directory(folder, Config(), fresh).__enter__()
    assert [[p.name for p in each.iterdir()] for each in (tmp_path, folder)] == [
        ["university"],
        ["thesis.tex"],
    ]
    with pytest.raises(InputError, match="is not a directory"):
        make(folder / "thesis.tex")
    with pytest.raises(InputError, match="is not a run"):
        Run(folder)
    with pytest.raises(InputError, match="cannot be written"):
        make(folder / "thesis.tex" / "run")


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, RunError), (errno.EACCES, InputError)])
def test_a_full_disk_is_no_wrong_input(tmp_path, monkeypatch, number, kind):
    def write(path, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(directory, "write_atomically", write)
    with pytest.raises(kind, match=f"cannot be written: .*{os.strerror(number)}"):
        make(tmp_path / "run")


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, RunError), (errno.EACCES, InputError)])
def test_what_a_full_disk_leaves_out_may_be_written_later(tmp_path, number, kind):
    with pytest.raises(kind, match="out cannot be written"), atomic_folder(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_one_search_at_a_time(tmp_path):
    make(tmp_path / "run")
    run = Run(tmp_path / "run")
    with locked(run.path):
        assert run.is_searching()
        with pytest.raises(InputError, match="another process"), locked(run.path):
            pass
    assert not run.is_searching()


def test_a_search_that_is_refused_changes_nothing(tmp_path):
    path = tmp_path / "run"
    other = load_config(Config(), ["distributed.ranks_per_candidate=2"])
    with locked_run_directory(path, Config(), fresh=False) as record:
        record.save(FULL)
        for fresh in (False, True):
            with pytest.raises(XnasError, match="another process"):
                locked_run_directory(path, other, fresh).__enter__()
        assert Run(path).config == Config() and Run(path).is_searching()
    assert not Run(path).is_searching() and [p.name for p in tmp_path.iterdir()] == ["run"]
    with locked_run_directory(path, other, fresh=False) as record:
        assert record.candidates() == [FULL]
        assert Run(path).config == Config()  # until the search goes on with the other one
        save_config(path, other)
    assert Run(path).config == other


def test_a_folder_that_cannot_be_written_is_wrong_input(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="cannot be written: permission denied"):
        locked_run_directory(tmp_path, Config(), fresh=False).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_unknown_candidates_and_missing_models_are_named(tmp_path):
    with locked_run_directory(tmp_path / "run", Config(), fresh=False) as record:
        record.save(FULL)
    run = Run(tmp_path / "run")
    with pytest.raises(InputError, match="no candidate 9; allowed: 1 to 3"):
        run.candidate(9)
    with pytest.raises(InputError, match="candidate 3 .done. has no saved model"):
        run.candidate(3).load_model()


def test_a_model_that_is_looked_up_in_another_folder_was_saved_all_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with locked_run_directory(Path("run"), Config(), fresh=False) as record:
        record.save(FULL)
    Path("run/models/00003.keras").touch()
    candidate = Run("run").candidate(3)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with pytest.raises(InputError, match="run/models/00003.keras does not exist; .*/elsewhere$"):
        candidate.load_model()


def test_a_lock_goes_with_the_directory_that_is_moved_aside(tmp_path):
    """Who waits for a run that --fresh moves aside must not share the new one."""
    path, new = tmp_path / "run", tmp_path / "new"
    make(path)
    new.mkdir()
    waiting, inside = threading.Event(), []

    def wait():
        waiting.set()
        with locked(path, patience=60):
            inside.append(os.stat(path / ".lock").st_ino)

    waiter = threading.Thread(target=wait)
    with locked(path):
        waiter.start()
        waiting.wait()
        with locked(new):  # Before it is in place, so that the waiter cannot be first.
            path.rename(tmp_path / "run.1")
            new.rename(path)
            os.close(os.open(tmp_path / "run.1" / ".lock", os.O_RDWR))
            assert inside == []
    waiter.join()
    assert inside == [os.stat(path / ".lock").st_ino]


@pytest.mark.parametrize("chosen", [True, False])
def test_a_run_of_an_earlier_version_keeps_the_modes_that_its_trial_chose(tmp_path, chosen):
    directory.open_database(tmp_path / "run", load_config()).close()
    file = tmp_path / "run" / "config.yaml"
    text = file.read_text()
    assert "jit_compile: false" in text
    file.write_text(text.replace("jit_compile: false", "jit_compile: auto"))
    with closing(Database(tmp_path / "run" / "run.sqlite", create=True)) as database:
        database.set_fact("measured_modes", {"jit_compile": chosen})
    assert Run(tmp_path / "run").config.training.jit_compile is chosen
    make(tmp_path / "run", load_config(None, [f"training.jit_compile={chosen}"]))
    with pytest.raises(InputError, match="jit_compile"):
        make(tmp_path / "run", load_config(None, [f"training.jit_compile={not chosen}"]))


@pytest.mark.parametrize("algorithm", ["nsga3", "moead", "spea2", "eps_moea"])
def test_a_run_with_an_algorithm_of_earlier_versions_is_read_and_not_resumed(tmp_path, algorithm):
    path = tmp_path / "run"
    config = load_config(overrides=["objectives=[error]"])
    with closing(directory.open_database(path, config)) as database:
        database.save(FULL)
    text = (path / "config.yaml").read_text()
    stored = text.replace("algorithm: nsga2", f"algorithm: {algorithm}")
    (path / "config.yaml").write_text(stored)
    run = load_run(path)
    assert [c.id for c in run.pareto()] == [3] and run.recommendation().id is None
    assert run.config.search.algorithm == algorithm
    with pytest.raises(InputError, match=f"search.algorithm: '{algorithm}' -> 'nsga2'"):
        make(path, config)
    assert (path / "config.yaml").read_text() == stored


def test_no_candidate_takes_the_place_of_another_with_its_genotype(tmp_path):
    record = Database(tmp_path / "run.sqlite", create=True)
    first = Candidate(1, "a", {}, epochs=3)
    record.save(first)
    record.save(replace(first, state="done"))
    with pytest.raises(RunError, match="UNIQUE"):
        record.save(Candidate(2, "a", {}, epochs=3))
    record.save(Candidate(2, "a", {}, epochs=9, promoted_from=1))
    assert [(c.id, c.state) for c in record.candidates()] == [(1, "done"), (2, "running")]
    record.close()


def test_the_weights_are_of_the_epoch_in_which_training_ended():
    """A Keras callback may have stopped it."""
    stopped = replace(FULL, epochs=30, history=[{"loss": 0.5}] * 7)
    assert stopped.kept_epoch == 7
    assert replace(stopped, metrics={"best_epoch": 4.0}).kept_epoch == 4
    assert replace(stopped, history=[{"val_loss": 0.5}]).kept_epoch == 30  # by a fit of its own
