"""Starting again: who died first, whom to blame, which hosts are left, when to give up."""

import os
import stat
import sys
import textwrap
import threading

import pytest

from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.errors import HeldError, InputError, RunError
from xnas_tf.run import horovodrun as starting
from xnas_tf.run import launch as launching
from xnas_tf.run.deaths import Death, blame
from xnas_tf.run.directory import Run, locked, open_record
from xnas_tf.run.horovodrun import first_death
from xnas_tf.run.hosts import Hosts, parse_hosts
from xnas_tf.run.launch import Launch

SAID = """Traceback (most recent call last):
RuntimeError: Horovod detected that one or more processes exited with non-zero status, thus
causing the job to be terminated. The first process to do so was:
Process name: 3
Exit code: 137
"""


def test_who_died_first_is_read_from_what_horovodrun_says():
    death = first_death(SAID.splitlines(keepends=True))
    assert death == Death(3, 137) and death.is_violent
    assert str(death) == "rank 3 was killed by signal 9 (exit code 137)"
    assert first_death(["all is well\n"]) is None
    assert not Death(0, 255).is_violent and str(Death(0, 255)) == "rank 0 ended (exit code 255)"
    assert not Death(0, 143).is_violent and not Death(0, 1).is_violent


@pytest.mark.parametrize("text", ["a", "a:", ":2", "a:0", "a:x", "a:2,a:2", "a:2,,b:2"])
def test_hosts_of_another_form_are_refused(text):
    with pytest.raises(InputError, match="allowed: HOST:SLOTS"):
        parse_hosts(text, 1)


def test_hosts_with_too_few_slots_are_refused():
    assert parse_hosts("a:2, b:4", 6) == {"a": 2, "b": 4} and parse_hosts(None, 6) == {}
    with pytest.raises(InputError, match="has 6 slots, but -np asks for 7"):
        parse_hosts("a:2,b:4", 7)


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """An ssh that reaches only the hosts named in a file."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nshift $(($# - 2))\ngrep -qx "$1" {tmp_path}/up\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "up"


def test_lost_hosts_are_left_out_if_the_rest_will_do(ssh):
    said = []
    hosts = Hosts({"a": 4, "b": 4}, 8, 2, 4, ["--ssh-port", "9"], [], said.append)
    ssh.write_text("a\nb\n")
    assert hosts() == (8, ["-H", "a:4,b:4", "--disable-cache", "--ssh-port", "9"])
    ssh.write_text("b\n")
    assert hosts() == (4, ["-H", "b:4", "--disable-cache", "--ssh-port", "9"])
    assert said == ["host a cannot be reached by ssh; going on without it if we may"]
    ssh.write_text("")
    with pytest.raises(RunError, match="cannot be reached by ssh: a, b; the others have 0 slots"):
        hosts()


def test_the_ranks_left_are_whole_groups(ssh):
    ssh.write_text("a\n")
    hosts = Hosts({"a": 3, "b": 3}, 6, 2, 2, [], [], print)
    assert hosts()[0] == 2


NOW = "2026-01-01T00:00:00.000+00:00"


@pytest.fixture
def run(tmp_path):
    """A run with candidates in flight on two groups of two ranks, and one that waits."""
    path = tmp_path / "run"
    record = open_record(path, load_config())
    record.set_fact("groups", {"ranks": 4, "size": 2})
    record.save(Candidate(1, "done", {}, state="done", group=1, answer=1))
    for number, group in ((2, 0), (3, 1), (4, -1)):
        record.save(Candidate(number, f"g{number}", {}, group=group, started=NOW))
    record.close()
    return path


def test_a_death_is_noted_with_what_the_group_was_training(run):
    assert [blame(run, Death(2, 137), NOW).deaths for _ in range(2)] == [1, 2]
    assert [c.deaths for c in Run(run).candidates()] == [0, 0, 2, 0]
    assert blame(run, Death(4, 137), NOW) is None  # there is no such group
    assert blame(run, Death(2, 137), "2026-01-02") is None  # it has trained nothing since


END = """
if os.path.exists('{run}/run.sqlite'):
    e = sqlite3.connect('{run}/run.sqlite')
    e.execute("INSERT OR REPLACE INTO facts VALUES ('ended', 'true')")
    e.commit()
"""
"""A script that comes to its end has come to the end of the search."""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A horovodrun that does what a script says; the script knows the number of its start."""

    def install(script):
        path = tmp_path / "horovodrun"
        path.write_text(
            f"#!{sys.executable}\nimport os, pathlib, shutil, sqlite3, sys, time\n"
            f"starts = {str(tmp_path / 'starts')!r}\n"
            "open(starts, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            "start = len(open(starts).readlines())\n"
            "def die(rank, code):\n"
            "    print('The first process to do so was:', file=sys.stderr)\n"
            "    print(f'Process name: {rank}\\nExit code: {code}', file=sys.stderr)\n"
            "    sys.exit(1)\n" + textwrap.dedent(script) + END.format(run=tmp_path / "run")
        )
        path.chmod(0o755)
        monkeypatch.setattr(starting, "horovodrun", lambda: str(path))
        return tmp_path / "starts"

    monkeypatch.setattr(launching, "FIRST_PAUSE", 0.0)
    return install


HAND_OUT = (
    "d = sqlite3.connect('{run}/run.sqlite'); "
    "d.execute(\"UPDATE candidates SET started='9' WHERE state='running'\"); d.commit()"
)
"""Rank 0 hands out what was in flight."""


def launched(run, restarts=5, said=None, command=("search", "--fresh", "c.yaml")):
    say = (said if said is not None else []).append
    return Launch(command, run, lambda: (4, ["-H", "a:4"]), restarts, say)()


def test_it_starts_again_until_it_is_done(run, program, capfd):
    starts = program(f"""
        print("[2]<stderr>:rank 2 says something", file=sys.stderr)
        if start == 1:
            os.rename({str(run)!r}, {str(run) + ".1"!r})
            shutil.copytree({str(run) + ".1"!r}, {str(run)!r})
        {HAND_OUT.format(run=run)}
        if start < 3: die(3, 137)
    """)
    said = []
    assert launched(run, said=said) == 0
    assert [line.split(" -m xnas_tf ")[1] for line in starts.read_text().splitlines()] == [
        "search --fresh c.yaml",
        "search c.yaml",  # what was reached is not moved aside
        "search c.yaml",
    ]
    assert all(line.startswith("--gloo -np 4 -H a:4 ") for line in starts.read_text().splitlines())
    assert "rank 3 was killed by signal 9 (exit code 137) while candidate 3 was trained" in said
    assert capfd.readouterr().err.count("rank 2 says something") == 3


def test_it_gives_up_when_nothing_is_reached(run, program):
    starts = program("die(0, 1)")
    with pytest.raises(RunError, match="the last 5 starts reached nothing"):
        launched(run)
    assert len(starts.read_text().splitlines()) == 5


def test_starts_that_reach_nothing_are_forgotten_when_one_reaches_something(run, program):
    starts = program(f"""
        if start == 5:
            {HAND_OUT.format(run=run)}
        die(3, 137 if start == 5 else 1)
    """)
    with pytest.raises(RunError, match="the last 5 starts reached nothing"):
        launched(run, restarts=20, command=["search"])
    assert len(starts.read_text().splitlines()) == 10


def test_it_gives_up_after_so_many_restarts(run, program):
    starts = program(HAND_OUT.format(run=run) + "; die(3 if start < 3 else 0, 137)")
    with pytest.raises(RunError, match=r"it was started 3 times \(--restarts 2\)"):
        launched(run, restarts=2)
    assert len(starts.read_text().splitlines()) == 3


def test_hosts_that_boot_are_waited_for_before_a_restart_but_not_at_first(
    run, program, monkeypatch
):
    monkeypatch.setattr(launching, "HOST_PAUSE", 0.0)
    starts = program(HAND_OUT.format(run=run) + "; start > 1 or die(3, 137)")
    said, there = [], iter([True, False, False, True])

    def ranks():
        if next(there):
            return 4, []
        raise RunError("host a cannot be reached")

    assert Launch(["search"], run, ranks, 5, said.append)() == 0
    assert len(starts.read_text().splitlines()) == 2
    assert said.count("host a cannot be reached; asking them again in 0 s") == 2
    there = iter([False])
    with pytest.raises(RunError, match="host a cannot be reached"):
        Launch(["search"], run, ranks, 5, said.append)()


def test_a_search_that_ended_without_result_is_not_tried_again(run, program):
    record = open_record(run, load_config())
    record.set_fact("ended", True)
    record.close()
    starts = program("die(0, 1 if start == 2 else 137)")  # a kill while it finishes is
    assert launched(run, command=["search"]) == 1
    assert len(starts.read_text().splitlines()) == 2


def test_who_lost_its_connection_is_not_blamed(run, program):
    program(HAND_OUT.format(run=run) + "\nif start == 1: die(2, 134)")
    assert launched(run) == 0
    assert [c.deaths for c in Run(run).candidates()] == [0, 0, 0, 0]


RESUME = """
d = sqlite3.connect('{run}/run.sqlite', isolation_level=None)
for number, group in d.execute(
    "SELECT id, \\"group\\" FROM candidates WHERE deaths=2 AND state='running'"
).fetchall():
    d.execute(f"UPDATE candidates SET state='failed', answer=9 WHERE id={{number}}")
    d.execute(f'UPDATE candidates SET "group"={{group}} WHERE "group"=-1')
    pathlib.Path(f'{run}/checkpoints/{{number:05d}}.npz').unlink(missing_ok=True)
d.execute("UPDATE candidates SET started='9' WHERE state='running'")
failed = d.execute("SELECT count(*) FROM candidates WHERE state='failed'").fetchone()[0]
"""
"""Rank 0 records as failed who died twice, and hands out what was in flight; the group that had
such a candidate gets the one that waited."""


def with_resume(run, script):
    return RESUME.format(run=run) + script


@pytest.mark.parametrize("death", ["2, 1", "3, 7", "3, 134", "2, -6"])
def test_a_candidate_that_ends_its_process_ends_as_failed(run, program, death):
    starts = program(with_resume(run, f"if not failed: die({death})"))
    said = []
    assert launched(run, said=said, command=["search"]) == 0
    assert len(starts.read_text().splitlines()) == 4  # the first start may be anybody's fault
    assert [(c.deaths, c.state) for c in Run(run).candidates()] == [
        (0, "done"),
        (0, "running"),
        (2, "failed"),
        (0, "running"),
    ]
    assert sum("while candidate 3 was trained" in text for text in said) == 2


def test_who_leaves_as_if_it_were_done_is_started_again(run, program):
    starts = program(with_resume(run, "if start < 3: os._exit(0)"))
    said = []
    assert launched(run, said=said, command=["search"]) == 0
    assert len(starts.read_text().splitlines()) == 3
    assert sum("the job ended; starting again" in text for text in said) == 2


def test_a_broken_network_does_not_fail_one_candidate_after_the_other(run, program):
    (run / "checkpoints").mkdir()
    for number in (2, 3, 4):
        (run / "checkpoints" / f"{number:05d}.npz").write_bytes(b"")
    starts = program(with_resume(run, "die(0, 1)"))
    with pytest.raises(RunError, match="the last 5 starts reached nothing"):
        launched(run, restarts=20, command=["search"])
    assert len(starts.read_text().splitlines()) == 5
    assert [c.deaths for c in Run(run).candidates()] == [0, 2, 0, 1]


@pytest.mark.parametrize("code", [130, 143, 255])
def test_who_was_told_to_leave_is_never_suspected(run, program, code):
    program(with_resume(run, f"die(0, {code})"))
    with pytest.raises(RunError, match="the last 5 starts reached nothing"):
        launched(run, command=["search"])
    assert [c.deaths for c in Run(run).candidates()] == [0, 0, 0, 0]


def test_what_rank_0_has_noted_is_not_noted_again(run, program):
    note = 'd.execute("UPDATE candidates SET deaths=deaths+1 WHERE id=3")'
    starts = program(with_resume(run, f"if not failed: {note}; die(2, 1 if start == 1 else 137)"))
    assert launched(run, command=["search"]) == 0
    assert len(starts.read_text().splitlines()) == 3
    assert [c.deaths for c in Run(run).candidates()] == [0, 0, 2, 0]


def test_bad_input_is_not_tried_again(run, program):
    starts = program("die(0, 2)")
    assert launched(run) == 2 and len(starts.read_text().splitlines()) == 1


def test_a_run_that_another_search_holds_is_left_to_it(run, program, monkeypatch):
    monkeypatch.setattr(launching, "LEAVE_SECONDS", 0.0)
    starts, said = program(""), []
    with locked(run), pytest.raises(HeldError, match="another process is searching in"):
        launched(run, said=said)
    assert not starts.exists() and said == []


def test_who_is_still_leaving_is_waited_for(run, program):
    starts, said, holds, told = program(""), [], threading.Event(), threading.Event()

    def leave():
        with locked(run):
            holds.set()
            assert told.wait(60)

    def say(text):
        said.append(text)
        told.set()

    leaving = threading.Thread(target=leave)
    leaving.start()
    assert holds.wait(60)
    assert Launch(["search"], run, lambda: (4, []), 5, say)() == 0
    leaving.join()
    assert len(starts.read_text().splitlines()) == 1
    assert said == [
        f"another process is searching in {run} at this moment; waiting for it to leave"
    ]


def test_what_horovodrun_itself_complains_of_is_shown(run, program, capfd):
    program("print('horovodrun: no such host', file=sys.stderr); sys.exit(1)")
    with pytest.raises(RunError):
        launched(run)
    assert "no such host" in capfd.readouterr().err
