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


def tiny(*more):
    """The options of a search that takes seconds; later ones win."""
    return [word for text in [*TINY, *more] for word in ("--set", text)]


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
