"""Settings of unit tests."""

import pytest

from xnas_tf.storage import run_directory


@pytest.fixture(scope="session", autouse=True)
def short_waits():
    """A run's lock that a test holds is not given up while the test waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_directory, "LOCK_SECONDS", 0.1)
        yield


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder in which decoded images are stored."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
