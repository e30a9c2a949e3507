"""Running the real command line, as a user does."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e import forked

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TINY = [
    "dataset=digits",
    "space={name: nas_bench_201, channels: 2, cells_per_stack: 1}",
    "training={epochs: 1, batch_size: 64}",
    "objectives.1.images=64",
    "search={candidates: 4, population: 2}",
]
LONGEST = ("horovod", "report", "search", "durability", "ray", "troubles", "recommendation")
PLAIN = """
import keras
def build(hp):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(hp.Int("filters", 4, 19), 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
"""
"""A user's search space in plain.py: its networks are traced in a third of the time of cells', and
have no BatchNorm, without which two ranks give the values of one."""
IN_PLAIN = "space={hypermodel: 'plain:build'}"


def pytest_collection_modifyitems(items):
    """Files that take long come first: with a file for each worker, none is idle in the end."""
    first = {f"test_{name}": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path.stem, len(first)))


def tiny(*more):
    """The options of a search that takes seconds; later ones win."""
    return [word for text in [*TINY, *more] for word in ("--set", text)]


def plain(folder, *more):
    """The options of such a search in ``PLAIN``, which is written into a folder."""
    (folder / "plain.py").write_text(PLAIN)
    return tiny(IN_PLAIN, *more)


def environment():
    """The environment with this Python's programs first."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def xnas(*words, cwd, code=0, limit=None):
    """Runs ``xnas-tf`` and returns the finished process; fails on another exit code."""
    done = forked.run(words, cwd, environment(), limit=limit)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder and the output of one finished tiny search."""
    folder = tmp_path_factory.mktemp("finished")
    done = xnas("search", *tiny(), "--run-dir", "run", "--profile", cwd=folder)
    return folder / "run", done


@pytest.fixture(scope="module")
def page():
    """A page of a real browser."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            + ["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"],
        )
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()
