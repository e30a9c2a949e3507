"""The wheel has all that a search needs, outside a checkout."""

import os
import re
import shutil
import subprocess
import sys
import venv
from email import message_from_bytes
from zipfile import ZipFile

import pytest

from tests.e2e.conftest import ROOT

SOURCES = ("xnas_tf", "configs", "examples")
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
SHORT = ["--set", "training.epochs=1", "--set", "search.candidates=1"]
CHEAP = ["--set", "objectives=[error, parameters]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built in a copy: what an earlier build left in build/ would get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder / "dist", folder)
    (path,) = (folder / "dist").glob("*.whl")
    return path


def pip(*words, python=sys.executable):
    subprocess.run(
        [python, "-m", "pip", "-q", "--disable-pip-version-check", *words],
        check=True,
        env={**os.environ, "XNAS_TENSORFLOW": "tensorflow-cpu"},
    )


def run(words, folder, **variables):
    """Runs a command as a new user, who has an empty home."""
    path = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        words, cwd=folder, env={**path, **variables}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_configurations_and_examples_are_found_in_the_wheel(wheel, tmp_path):
    site, folder = tmp_path / "site", tmp_path / "new"
    folder.mkdir()
    with ZipFile(wheel) as file:
        file.extractall(site)
    code = """
import xnas_tf
from xnas_tf.config import load_config
print(xnas_tf.__file__)
print(load_config("hypermodel").space.hypermodel)
print(load_config("configs/xnas-mnist.yaml").space.name)
"""
    found = run([sys.executable, "-c", code], folder, PYTHONPATH=str(site)).stdout.splitlines()
    assert found[0] == str(site / "xnas_tf" / "__init__.py")
    example, _ = found[1].split(":")
    assert (site / "xnas_tf" / example.replace(".", "/")).with_suffix(".py").is_file()
    assert found[2] == "nas_bench_201"


@pytest.mark.long
def test_a_search_finds_configurations_and_examples_in_the_wheel(wheel, tmp_path):
    site, folder = tmp_path / "site", tmp_path / "new"
    folder.mkdir()
    pip("install", "--no-deps", "--target", site, wheel)
    command = [sys.executable, site / "bin/xnas-tf", "search", "hypermodel", *SHORT, *CHEAP]
    done = run(command, folder, PYTHONPATH=str(site))
    assert "recommended: candidate" in done.stderr
    code = "import xnas_tf as x; print(x.__file__); x.load_config('configs/xnas-mnist.yaml')"
    where = run([sys.executable, "-c", code], folder, PYTHONPATH=str(site)).stdout.strip()
    assert where == str(site / "xnas_tf" / "__init__.py")


def test_the_wheel_has_each_configuration_example_and_data_file(wheel):
    with ZipFile(wheel) as file:
        names = set(file.namelist())
    for name in ("configs/*.yaml", "examples/*"):
        wanted = {f"xnas_tf/{each.relative_to(ROOT)}" for each in ROOT.glob(name) if each.is_file()}
        assert wanted and wanted <= names
    listed = subprocess.run(
        ["git", "ls-files", "xnas_tf"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    assert set(listed) <= names


def test_the_long_description_has_neither_pictures_nor_relative_links(wheel):
    with ZipFile(wheel) as file:
        (name,) = (each for each in file.namelist() if each.endswith("METADATA"))
        text = message_from_bytes(file.read(name)).get_payload()
    assert text.startswith("# xnas-tf")
    assert "![" not in text and "<img" not in text
    assert not re.search(r"\]\((?!https?://)", text)


@pytest.mark.long
def test_an_empty_environment_needs_nothing_else(wheel, tmp_path):
    """With the network: pip installs what the wheel asks for."""
    venv.create(tmp_path / "venv", with_pip=True)
    bin, folder = tmp_path / "venv" / "bin", tmp_path / "new"
    folder.mkdir()
    pip("install", wheel, python=bin / "python")
    run([bin / "xnas-tf", "search", "quickstart", *SHORT], folder)
    run([bin / "xnas-tf", "export", "runs/quickstart"], folder)
    run([bin / "xnas-tf", "report", "runs/quickstart"], folder)
    run([bin / "xnas-tf", "init", "mine", "--dataset", "digits"], folder)
    run([bin / "xnas-tf", "search", *SHORT], folder / "mine")
