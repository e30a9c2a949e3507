"""What another user of the machine can do to a search on Ray: nothing."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.e2e.clusters import checkpoints, ranks_of, started, wait_until
from tests.e2e.conftest import tiny

NOBODY = 65534
PYTHON = "/usr/bin/python3"
"""One that another user may run: this one may be in a home."""
INTRUDER = textwrap.dedent("""
    # Tries everything, and prints what was refused.
    import json, os, sys
    given = json.loads(sys.argv[1])
    refused = {}

    def attempt(name, act):
        try:
            act()
            refused[name] = ""
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"

    attempt("read token", lambda: open(given["token"]).read())
    attempt("list folder", lambda: os.listdir(os.path.dirname(given["token"])))
    for pid in given["pids"]:
        if os.getuid():
            attempt(f"kill {pid}", lambda: os.kill(pid, 9))
        attempt(f"environment of {pid}", lambda: open(f"/proc/{pid}/environ").read())
    import ray

    attempt("submit", lambda: ray.init(given["address"], log_to_driver=False))
    print(json.dumps(refused))
""")


def is_possible():
    """Whether this process can become another user who has the same Python."""
    if os.geteuid() or not Path(PYTHON).exists():
        return False
    ask = "import sys; print(list(sys.version_info[:2]))"
    version = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True).stdout
    return json.loads(version) == list(sys.version_info[:2])


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """The folder and the process of a search that runs."""
    folder = tmp_path_factory.mktemp("secret")
    long = "training={epochs: 40000, batch_size: 16, checkpoint_minutes: 0.02}"
    process = started(folder, *tiny(long), "--groups", 1)
    wait_until(lambda: ranks_of(process) and checkpoints(folder))
    yield folder, process
    process.terminate()
    process.wait(60)


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def token_of(process):
    return Path(ranks_of(process)[0].environ()["RAY_AUTH_TOKEN_PATH"])


def test_the_token_is_in_no_command_line_and_not_in_the_run(search):
    folder, process = search
    token = token_of(process).read_text()
    assert len(token) == 64 and token_of(process).parent.stat().st_mode & 0o77 == 0
    lines = [" ".join(each.cmdline()) for each in [psutil.Process(process.pid), *family(process)]]
    assert any("gcs_server" in line for line in lines)
    assert not any(token in line for line in lines)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3 and not any(token.encode() in path.read_bytes() for path in files)


def attempts(process, variables, **who):
    """What was refused to someone, by attempt; "" where nothing was."""
    (server,) = [each for each in family(process) if each.name() == "gcs_server"]
    (port,) = [c.laddr.port for c in server.net_connections() if c.status == "LISTEN"]
    given = {
        "token": str(token_of(process)),
        "pids": [process.pid, *(each.pid for each in ranks_of(process))],
        "address": f"127.0.0.1:{port}",
    }
    done = subprocess.run(
        [PYTHON, "-c", INTRUDER, json.dumps(given)],
        **who,
        cwd="/tmp",
        env={"PYTHONPATH": str(Path(psutil.__file__).parents[1]), "HOME": "/nonexistent"}
        | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not is_possible(), reason="needs root, and /usr/bin/python3 of this version")
@pytest.mark.parametrize(
    "guess", [{}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}], ids=["none", "wrong"]
)
def test_another_user_can_neither_read_nor_submit_nor_stop_anything(search, guess):
    _, process = search
    refused = attempts(process, guess, user=NOBODY, group=NOBODY, extra_groups=[])
    assert all(refused.values()) and "ConnectionError" in refused["submit"], refused
    assert process.poll() is None and ranks_of(process)


@pytest.mark.skipif(not is_possible(), reason="needs root, and /usr/bin/python3 of this version")
def test_who_has_the_token_can_submit(search):
    """Else the test above would prove nothing."""
    _, process = search
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_of(process).read_text()}
    refused = attempts(process, token)["submit"]
    assert not refused or "Version mismatch" in refused  # which the cluster told it
