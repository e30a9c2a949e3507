"""Signals and hangs, in processes of their own."""

import os
import pty
import signal
import socket
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.execution import watchdog
from xnas_tf.execution.watchdog import Watchdog, _has_no_reader, job_watchdog

HEAD = """
import os, sys, time
from xnas_tf.execution import watchdog as watch
from xnas_tf.execution.watchdog import Watchdog
def say(text): print(text, flush=True)
"""


def start(script):
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_is_noted_and_the_step_is_finished(number, code):
    process = start("""
        with Watchdog(60) as watching:
            say("ready")
            while not watching.stopping:
                time.sleep(0.01)
        say("saved")
        sys.exit(watching.stopping)
    """)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "saved\n" and process.returncode == code


def test_who_does_not_leave_in_time_is_ended():
    process = start("""
        watch.GRACE = 0.5
        with Watchdog(60):
            say("ready")
            while True: time.sleep(0.01)
    """)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143


def test_that_it_was_asked_to_stop_is_told_while_a_step_takes_long():
    process = start("""
        told = __import__("threading").Event()
        with Watchdog(60, on_stop=told.set):
            say("ready")
            told.wait()  # as in a long step
            say("told")
            while True: time.sleep(0.01)
    """)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "told\n"
    process.kill()  # as a batch system does
    assert process.communicate(timeout=20)[0] == ""


def test_a_process_that_ignores_a_closed_terminal_goes_on(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Watchdog(60) as watching:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert not watching.stopping
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_ends_at_once():
    process = start("""
        with Watchdog(60) as watching:
            say("ready")
            while not watching.stopping: time.sleep(0.01)
            say("noted")
            while True: time.sleep(0.01)
    """)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noted\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130


def test_a_hang_is_told_of_and_ends_the_process_while_steps_do_not():
    process = start("""
        class Clock:  # the machine's load does not change it
            now = 0.0
            def monotonic(self): return self.now
        watch.time = clock = Clock()
        with Watchdog(60) as watching:
            with watching.over(lambda: say("never")):
                for _ in range(20):
                    clock.now += 50
                    time.sleep(0.05)
                    watching.report_progress()
            clock.now += 100  # nothing is evaluated
            time.sleep(0.5)
            say("fine so far")
            with watching.over(lambda: say("it hung")):
                while True:
                    clock.now += 0.5  # a jump would be a suspended process
                    time.sleep(0.01)
    """)
    out = process.communicate(timeout=30)[0]
    assert out == "fine so far\nit hung\n" and process.returncode == 1


class Clock:
    """A clock that is set by polls: a list of the seconds that each takes."""

    def __init__(self, polls):
        self.now, self.polls = 0.0, polls

    def monotonic(self):
        return self.now

    def select(self, readers, *_):
        self.now += self.polls.pop(0)
        return ([], [], []) if self.polls else (readers, [], [])


@pytest.mark.parametrize(
    ("polls", "hangs"),
    [([0.2] * 80, True), ([0.2] * 30 + [500.0] + [0.2] * 40, False), ([12.0, 0.2], True)],
)
def test_a_suspended_process_does_not_hang(monkeypatch, polls, hangs):
    clock, told = Clock(list(polls)), []
    monkeypatch.setattr(watchdog, "time", clock)
    monkeypatch.setattr(watchdog, "select", clock)
    monkeypatch.setattr(watchdog, "_report_and_exit", told.append)
    watch = Watchdog(stall_seconds=10)
    with watch.over(lambda: None):
        watch._run(SimpleNamespace(recv=lambda _: watchdog._CLOSE))
    assert bool(told) == hangs


def test_what_hung_is_told_of_even_if_it_ends_at_this_moment():
    process = start("""
        class Ending(Watchdog):  # ends the evaluation as soon as the watch has looked at it
            @property
            def _on_hang(self):
                on_hang, self.kept = self.kept, None
                return on_hang
            @_on_hang.setter
            def _on_hang(self, on_hang): self.kept = on_hang
        with Ending(0) as watching, watching.over(lambda: say("it hung")):
            while True: time.sleep(0.01)
    """)
    assert process.communicate(timeout=20)[0] == "it hung\n" and process.returncode == 1


def pipe():
    reader, writer = os.pipe()
    return open(reader), open(writer, "w")


def terminal():
    reader, writer = pty.openpty()
    return open(reader), open(writer, "w")


@pytest.mark.parametrize("pair", [pipe, socket.socketpair, terminal])
def test_a_stream_has_a_reader_until_that_is_closed(pair):
    reader, writer = pair()
    with writer:
        with reader:
            assert not _has_no_reader(writer)
        assert _has_no_reader(writer)


def test_what_needs_no_reader_does_not_lack_one(tmp_path):
    for path in (tmp_path / "log", os.devnull):
        with open(path, "w") as stream:
            assert not _has_no_reader(stream)
    assert not _has_no_reader(stream) and not _has_no_reader(None)  # closed, none at all


def test_afterwards_signals_are_as_before():
    process = start("""
        with Watchdog(60): pass
        try:
            say("ready")
            time.sleep(60)
        except KeyboardInterrupt:
            say("interrupted")
    """)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n"


def test_afterwards_no_socket_is_open():
    before = set(os.listdir("/proc/self/fd"))
    with Watchdog(60):
        assert set(os.listdir("/proc/self/fd")) > before
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("ranks", "rank", "has_launcher"), [(1, None, False), (1, "0", True), (2, None, True)]
)
def test_whatever_a_launcher_started_must_not_outlive_it(monkeypatch, ranks, rank, has_launcher):
    """A single rank may be on another host than its launcher, too."""
    monkeypatch.delenv("HOROVOD_RANK", raising=False)
    if rank:
        monkeypatch.setenv("HOROVOD_RANK", rank)
    world = SingleProcess()
    world.size = ranks
    watchdog = job_watchdog(load_config().distributed, world)
    assert watchdog._parent == (os.getppid() if has_launcher else None)
