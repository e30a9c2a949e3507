"""bin/setup where nothing needs to be installed: its help, wrong words, no suitable Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "dirname", "env", "flock", "mktemp", "rm", "sha256sum", "mkdir")


def setup(*words, cwd, **environment):
    command = [str(cwd / "bin" / "setup"), *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "XNAS_PYTHON": "", **environment},
    )


@pytest.fixture
def checkout(tmp_path):
    """A checkout without .venv, on a machine whose only Python is too new."""
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    for name in ("setup.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool))
    unsuitable = tools / "python3"
    unsuitable.write_text("#!/bin/sh\nexit 1\n")
    unsuitable.chmod(0o755)
    # One with a version of its own would be taken before the machine's /usr/bin/python3.
    script = tmp_path / "bin" / "setup"
    script.write_text(script.read_text().replace(" /usr/bin/python3)", ")"))
    return tmp_path


def test_help_and_wrong_words(checkout):
    told = setup("--help", cwd=checkout)
    assert told.returncode == 0 and "bin/setup --gpu horovod" in told.stdout
    wrong = setup("horovodd", cwd=checkout)
    assert wrong.returncode == 2 and "Usage: bin/setup" in wrong.stderr
    assert not (checkout / ".venv").exists()


def test_no_suitable_python_and_none_to_be_fetched(checkout):
    failed = setup(cwd=checkout, PATH=str(checkout / "tools"))
    assert failed.returncode == 1
    assert "Python 3.10 to 3.13 with venv was not found" in failed.stderr
    assert "apt-get install python3 python3-venv" in failed.stderr
    assert "uv python install 3.13" in failed.stderr
    assert not (checkout / ".venv").exists()


def test_an_unsuitable_choice_is_named(checkout):
    failed = setup(cwd=checkout, XNAS_PYTHON=str(checkout / "tools" / "python3"))
    assert failed.returncode == 1
    assert f"XNAS_PYTHON={checkout}/tools/python3 is not Python 3.10 to 3.13" in failed.stderr


def test_horovodrun_builds_horovod_first_then_starts(checkout):
    """With a set-up that puts another horovodrun in its place instead of compiling one."""
    script = (checkout / "bin" / "setup").read_text()
    begin = script.index("defer_horovod() {")
    function = script[begin : script.index("\n}\n", begin) + 3]
    venv = checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    subprocess.run(
        ["bash", "-euc", f"pip() {{ :; }}; root={checkout} venv={venv}; {function} defer_horovod"],
        check=True,
    )
    (checkout / "bin" / "setup").write_text(
        f'#!/bin/sh\necho "setup $*"\nrm {venv}/bin/horovodrun\n'
        f"printf '#!/bin/sh\\necho \"horovodrun $*\"\\n' >{venv}/bin/horovodrun\n"
        f"chmod +x {venv}/bin/horovodrun\n"
    )
    words = [str(venv / "bin" / "horovodrun"), "-np", "2", "two words"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["setup horovod", "horovodrun -np 2 two words"]
