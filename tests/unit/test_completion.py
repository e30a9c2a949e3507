"""What Tab fills in."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from xnas_tf.cli import main


@pytest.fixture
def completed(tmp_path, monkeypatch):
    """Completes the last of some words, in a folder with two runs and something else."""
    for name in ("pets", "quickstart"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.sqlite").touch()
    (tmp_path / "runs" / "notes").mkdir()
    monkeypatch.chdir(tmp_path)

    def complete(*words):
        shell = ShellComplete(main, {}, "xnas-tf", "_XNAS_TF_COMPLETE")
        found = shell.get_completions(list(words[:-1]), words[-1])
        return [item.value for item in found if item.type == "plain"]

    return complete


@pytest.mark.parametrize("command", ["pareto", "status", "report", "export", "explain"])
def test_runs(completed, command):
    assert completed(command, "ru") == ["runs/pets", "runs/quickstart"]
    assert completed(command, "runs/q") == ["runs/quickstart"]


def test_keys_are_those_of_the_configuration(completed):
    assert completed("search", "--set", "training.e") == ["training.epochs"]
    assert "search.fidelity.epochs" in completed("data", "digits", "--set", "search.")
    assert {"space", "objectives", "constraints"} < set(completed("search", "--set", ""))
    assert len(completed("search", "--set", "")) == len(set(completed("search", "--set", "")))


def test_names(completed):
    assert completed("explain", "run", "--method", "i") == ["integrated_gradients"]
    assert "all" in completed("explain", "run", "--method", "")
    assert completed("data", "f") == ["folder:"]
    assert completed("interpret", "run", "--dataset", "d") == ["digits"]
    assert completed("dis") == ["disentangle"]


def test_no_tensorflow_is_imported(tmp_path):
    check = """
import sys
from click.shell_completion import ShellComplete
from xnas_tf.cli import main
shell = ShellComplete(main, {}, "xnas-tf", "X")
for words in (["pareto"], ["search", "--set"], ["data"], ["explain", "run", "--method"]):
    assert shell.get_completions(words, "")
sys.exit(any(name in sys.modules for name in ("tensorflow", "keras")))
"""
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, env=os.environ)
    assert done.returncode == 0
