"""Settings of unit tests."""

import pytest

from xnas_tf.storage import run_directory


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """Images are decoded into a temporary cache; each test's files have their own entry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def short_waits():
    """A run's lock that a test holds is not given up while the test waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_directory, "LOCK_SECONDS", 0.1)
        yield
