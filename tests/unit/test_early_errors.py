"""What is wrong with the files of a command is said before anything slow is imported or done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_violations import CONFIG, done
from xnas_tf.errors import InputError
from xnas_tf.storage.run_directory import check_resumable, open_database
from xnas_tf.utils.pictures import check_picture

PROGRAM = """
import shlex, sys
from click.testing import CliRunner
from xnas_tf.cli import main
for line in sys.stdin:
    found = CliRunner().invoke(main, shlex.split(line))
    heavy = [name for name in ("tensorflow", "keras") if name in sys.modules]
    print(found.exit_code, heavy, found.stderr.splitlines()[-1])
"""
TAKEN = "already exists and was not touched"
COMMANDS = {
    "explain run --out taken": TAKEN,
    "explain run": f"run/explanations/candidate-00001 {TAKEN}",
    "explain model.keras --dataset digits": f"explanations/model {TAKEN}",
    "explain model.keras notes.txt": f"explanations/model {TAKEN}",
    "explain model.keras": "model.keras: give --images FILE… or --dataset NAME to explain",
    "explain model.keras --dataset npz:not.npz": "/not.npz does not exist",
    "explain run --dataset digit --out taken": "unknown data set 'digit' (did you mean 'digits'?",
    "disentangle model.keras --out taken": "give --dataset NAME from which to learn the paths",
    "interpret model.keras --out taken": "model.keras: give --dataset NAME from which to learn",
    "interpret --hypermodel mine:N --out taken": "mine:N: give --dataset NAME from which to learn",
    "explain nothing.keras": "nothing.keras does not exist",
    "explain run --candidate 7": "run has no candidate 7",
    "disentangle run --out taken": TAKEN,
    "interpret --hypermodel mine:Net --dataset digits --out taken": TAKEN,
    "interpret model.keras --hypermodel mine:Net": "both are given",
    "export run --out taken": "already exist: taken/candidate-00001",
    "report run --out notes.txt": "exists, is not a report and was not touched",
    "pareto run --plot notes.txt": "is not a PNG file and was not touched",
    "data digits --out nowhere/sheet.png": "there is no folder nowhere",
    "search --run-dir run": "--fresh to move it aside and start again.",
    "search --run-dir taken": "taken exists and is not a run",
    "search --run-dir notes.txt": "notes.txt exists and is not a directory",
}


def test_of_each_command(tmp_path):
    record = open_database(tmp_path / "run", CONFIG)
    record.save(done(1, 0.1, 10.0))
    record.close()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model.keras").write_text("a model")
    for folder in ("taken", "run/explanations", "explanations/model"):
        (tmp_path / folder / "candidate-00001").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(COMMANDS),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    for (command, message), line in zip(COMMANDS.items(), lines, strict=True):
        assert line.startswith("2 [] ") and message in line, f"{command}: {line}"
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_only_pictures_are_replaced_by_pictures(tmp_path):
    (tmp_path / "old.png").write_bytes(b"\x89PNG\r\n\x1a\nold")
    (tmp_path / "empty").touch()
    for name in ("old.png", "empty", "new.png"):
        check_picture(tmp_path / name, "--plot")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(InputError, match="text.png exists, is not a PNG file"):
        check_picture(tmp_path / "text.png", "--plot")
    with pytest.raises(InputError, match="there is no folder"):
        check_picture(tmp_path / "none" / "new.png", "--plot")


def test_a_run_is_resumed_with_its_own_configuration_only(tmp_path):
    check_resumable(tmp_path / "new", CONFIG)
    open_database(tmp_path / "run", CONFIG).close()
    check_resumable(tmp_path / "run", CONFIG)
    changed = CONFIG.model_copy(update={"constraints": {}})
    with pytest.raises(InputError, match="a run with another configuration"):
        check_resumable(Path(tmp_path / "run"), changed)
