"""Signals and hangs, in processes of their own."""

import signal
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import os, sys, time
from xnas_tf.run import watch
from xnas_tf.run.watch import Watch
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_noted_and_the_step_is_finished(number, code):
    process = start("""
        with Watch(60) as watching:
            say("ready")
            while not watching.stopping:
                time.sleep(0.01)
        say("saved")
        sys.exit(watching.interruption().exit_code)
    """)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "saved\n" and process.returncode == code


def test_who_does_not_leave_in_time_is_ended():
    process = start("""
        watch.GRACE = 0.5
        with Watch(60):
            say("ready")
            while True: time.sleep(0.01)
    """)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143


def test_a_second_ctrl_c_ends_at_once():
    process = start("""
        with Watch(60) as watching:
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
        with Watch(1.5) as watching:
            with watching.over(lambda: say("never")):
                for _ in range(20):
                    time.sleep(0.1)
                    watching.beat()
            time.sleep(2)  # nothing is evaluated
            say("fine so far")
            with watching.over(lambda: say("it hung")):
                while True: time.sleep(0.01)
    """)
    out = process.communicate(timeout=30)[0]
    assert out == "fine so far\nit hung\n" and process.returncode == 1


def test_afterwards_signals_are_as_before():
    process = start("""
        with Watch(60): pass
        try:
            say("ready")
            time.sleep(60)
        except KeyboardInterrupt:
            say("interrupted")
    """)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
