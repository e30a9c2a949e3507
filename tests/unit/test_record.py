import errno
import fcntl
import os
import sqlite3
import threading

import pytest

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config, load_config
from xnas_tf.errors import InputError, RunError, XnasError
from xnas_tf.storage import run as directory
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import (
    Run,
    held_directory,
    locked,
    model_path,
    remove_drafts,
    write_whole,
)

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
)


def make(path, config, fresh):
    with held_directory(path, config, fresh):
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
    with pytest.raises(KeyError), record.together():
        record.save(FULL)
        with record.together():
            record.set_fact("generations", 1)
        raise KeyError
    assert (
        Database(tmp_path / "run.sqlite").candidates() == [] and record.fact("generations") is None
    )
    with record.together():
        record.save(FULL)
    assert Database(tmp_path / "run.sqlite").candidates() == [FULL]


def test_what_kills_left_half_written_is_removed_and_nothing_else(tmp_path):
    make(tmp_path / "run", Config(), fresh=False)
    write_whole(model_path(tmp_path / "run", 1), b"whole")
    for name in (".00002.keras.77", "mine.keras"):
        (tmp_path / "run" / "models" / name).write_bytes(b"half")
    remove_drafts(tmp_path / "run")
    assert {p.name for p in (tmp_path / "run" / "models").iterdir()} == {
        "00001.keras",
        "mine.keras",
    }


def test_who_looks_for_an_instant_stops_no_search(tmp_path):
    make(tmp_path / "run", Config(), fresh=False)
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


def test_a_run_goes_on_with_its_own_configuration_only(tmp_path):
    path = tmp_path / "run"
    make(path, Config(), fresh=False)
    make(path, Config(), fresh=False)
    with pytest.raises(InputError, match=r"training.epochs: 3 -> 4"):
        make(path, load_config(Config(), ["training.epochs=4"]), fresh=False)
    assert Run(path).config == Config()


def test_a_run_goes_on_with_other_ranks(tmp_path):
    path = tmp_path / "run"
    make(path, Config(), fresh=False)
    other = load_config(Config(), ["distributed.ranks_per_candidate=2"])
    make(path, other, fresh=False)
    assert Run(path).config == other


def test_fresh_moves_aside_and_deletes_nothing(tmp_path):
    path = tmp_path / "run"
    for number in range(3):
        with held_directory(path, Config(), fresh=True) as record:
            record.set_fact("number", number)
    kept = {p.name: Run(p).fact("number") for p in tmp_path.iterdir()}
    assert kept == {"run": 2, "run.1": 0, "run.2": 1}


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is no run"):
        make(tmp_path, Config(), fresh=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="is no directory"):
        make(tmp_path / "thesis.tex", Config(), fresh=False)
    with pytest.raises(InputError, match="is no run"):
        Run(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        make(tmp_path / "thesis.tex" / "run", Config(), fresh=False)


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, RunError), (errno.EACCES, InputError)])
def test_a_full_disk_is_no_wrong_input(tmp_path, monkeypatch, number, kind):
    def write(path, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(directory, "write_whole", write)
    with pytest.raises(kind, match=f"cannot be written: .*{os.strerror(number)}"):
        make(tmp_path / "run", Config(), fresh=False)


def test_one_search_at_a_time(tmp_path):
    make(tmp_path / "run", Config(), fresh=False)
    run = Run(tmp_path / "run")
    with locked(run.path):
        assert run.is_searching()
        with pytest.raises(InputError, match="another process"), locked(run.path):
            pass
    assert not run.is_searching()


def test_a_search_that_is_refused_changes_nothing(tmp_path):
    path = tmp_path / "run"
    other = load_config(Config(), ["distributed.ranks_per_candidate=2"])
    with held_directory(path, Config(), fresh=False) as record:
        record.save(FULL)
        for fresh in (False, True):
            with pytest.raises(XnasError, match="another process"):
                held_directory(path, other, fresh).__enter__()
        assert Run(path).config == Config() and Run(path).is_searching()
    assert not Run(path).is_searching() and [p.name for p in tmp_path.iterdir()] == ["run"]
    with held_directory(path, other, fresh=False) as record:
        assert record.candidates() == [FULL]
    assert Run(path).config == other


def test_a_folder_that_cannot_be_written_is_wrong_input(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="cannot be written: permission denied"):
        held_directory(tmp_path, Config(), fresh=False).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_unknown_candidates_and_missing_models_are_named(tmp_path):
    with held_directory(tmp_path / "run", Config(), fresh=False) as record:
        record.save(FULL)
    run = Run(tmp_path / "run")
    with pytest.raises(InputError, match="no candidate 9; allowed: 1 to 3"):
        run.candidate(9)
    with pytest.raises(InputError, match="candidate 3 .done. has no kept model"):
        run.candidate(3).load_model()


def test_a_lock_goes_with_the_directory_that_is_moved_aside(tmp_path):
    """Who waits for a run that --fresh moves aside must not share the new one."""
    path, new = tmp_path / "run", tmp_path / "new"
    make(path, Config(), fresh=False)
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
