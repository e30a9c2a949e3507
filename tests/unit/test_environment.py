"""A process without a home directory, or with one that cannot be written."""

import builtins
import errno
import os
import pwd
import stat
import tempfile
from pathlib import Path

import pytest

from tests.pictures import make_folder
from xnas_tf import doctor
from xnas_tf.data import load_dataset
from xnas_tf.errors import InputError
from xnas_tf.utils import cache_folder as caches
from xnas_tf.utils.cache_folder import cache_folder, host_lock, private_folder
from xnas_tf.utils.environment import set_defaults


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """An own folder for temporary files, and no cache that the environment names."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    private_folder.cache_clear()
    yield folder
    private_folder.cache_clear()


@pytest.fixture
def homeless(monkeypatch):
    """A container's user without HOME and without an entry in /etc/passwd."""

    def missing(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setenv("HOME", "restored after the test")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", missing)


def refuse_writing(monkeypatch, folder):
    """Make a folder, and all in it, one that this process must not write."""
    allowed = os.access

    def access(path, mode, **more):
        return allowed(path, mode, **more) and not Path(path).is_relative_to(folder)

    monkeypatch.setattr(caches.os, "access", access)


def test_without_a_home_there_is_a_private_one(homeless, temporary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cache_folder("images/x") == private_folder() / "images" / "x"
    set_defaults()
    assert Path("~").expanduser() == private_folder()
    assert private_folder().parent == temporary
    status = private_folder().stat()
    assert stat.S_IMODE(status.st_mode) == 0o700 and status.st_uid == os.getuid()
    with host_lock("datasets"):
        assert not (tmp_path / "~").exists()


def test_a_home_on_a_file_system_without_locks_is_used(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(caches.fcntl, "flock", flock)
    with host_lock("datasets"):
        assert (tmp_path / "xnas-tf" / "datasets.lock").is_file()


def test_a_home_that_exists_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    set_defaults()
    assert os.environ["HOME"] == str(tmp_path / "me")
    assert cache_folder() == tmp_path / "me" / ".cache" / "xnas-tf"


@pytest.mark.parametrize("named", [True, False])
def test_a_cache_that_cannot_be_written_is_read_and_replaced(tmp_path, monkeypatch, named):
    base = tmp_path / ("given" if named else "me/.cache")
    (base / "xnas-tf" / "images" / "old").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    if named:
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
    refuse_writing(monkeypatch, base)
    assert cache_folder("images/old") == base / "xnas-tf" / "images" / "old"
    assert cache_folder("images/new") == private_folder() / "images" / "new"
    assert len(load_dataset(f"folder:{make_folder(tmp_path / 'pets', {'a': 9, 'b': 9})}").train)


@pytest.mark.parametrize("kind", ["file", "open"])
def test_a_private_folder_of_someone_else_is_not_used(temporary, kind):
    usual = temporary / f"xnas-tf-{os.getuid()}"
    if kind == "file":
        usual.write_text("")
    else:
        usual.mkdir()
        usual.chmod(0o777)
    found = private_folder()
    assert found != usual and stat.S_IMODE(found.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["folder:~nobody-at-all/x", "npz:~nobody-at-all/x.npz"])
def test_a_home_of_nobody_is_a_path_that_does_not_exist(name):
    with pytest.raises(InputError, match="~nobody-at-all"):
        load_dataset(name)


@pytest.mark.parametrize(
    ("error", "is_of_installation"),
    [
        (ImportError("no TensorFlow"), True),
        (RuntimeError("undefined symbol: _ZN10tensorflow"), True),
        (RuntimeError("Could not determine home directory."), False),
    ],
)
def test_the_doctor_names_the_cause_it_found(monkeypatch, error, is_of_installation):
    load = builtins.__import__

    def fails(name, *rest, **more):
        if name == "tensorflow":
            raise error
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", fails)
    (finding,) = doctor._devices()
    assert str(error) in finding.value
    assert ("bin/setup" in finding.advice) == is_of_installation


def test_the_doctor_says_where_the_cache_is(homeless, tmp_path, monkeypatch):
    assert "no writable home directory" in doctor._cache().advice
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert doctor._cache() == doctor.Finding("cache", str(tmp_path / "xnas-tf"))
