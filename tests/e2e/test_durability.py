"""Real kills, a real full disk."""

import json
import signal
import sqlite3

import pytest

import xnas_tf as xt
from tests.conftest import left_to_all
from tests.e2e import forked
from tests.e2e.conftest import environment, plain, tiny, xnas


def start(*words, cwd):
    return forked.start(words, cwd, environment())


def wait_for(process, text):
    """Reads stderr until a line holds ``text``; returns all lines so far."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} never came:\n{''.join(lines)}")


def done(run):
    return {c.genotype: c for c in xt.load_run(run).candidates() if c.state == "done"}


DEAD = "its process died 2 times while it was evaluated, as happens if memory runs out"
SIX = "search={candidates: 6, population: 3}"


@pytest.mark.parametrize(
    ("kill", "code"), [(signal.SIGKILL, -signal.SIGKILL), *left_to_all((signal.SIGINT, 130))]
)
def test_a_killed_search_goes_on_and_does_nothing_twice(tmp_path, kill, code):
    run, words = tmp_path / "run", plain(tmp_path, SIX)
    process = start("search", *words, "--run-dir", run, cwd=tmp_path)
    wait_for(process, "2/6")
    process.send_signal(kill)
    assert process.wait() == code
    before = done(run)
    assert 2 <= len(before) < 6
    stopped = json.loads(xnas("status", run, "--format", "json", cwd=tmp_path).stdout)
    assert not stopped["searching"]
    xnas("search", *words, "--run-dir", run, cwd=tmp_path)
    after = done(run)
    assert len(after) == 6
    for genotype, candidate in before.items():
        again = after[genotype]
        assert again.started == candidate.started and again.objectives == candidate.objectives
    check = sqlite3.connect(run / "run.sqlite").execute("PRAGMA integrity_check").fetchone()
    assert check == ("ok",)


LETHAL = """
import os, signal
import keras, tensorflow as tf

class Lethal(keras.layers.Layer):
    def call(self, x, training=False):
        if training:
            tf.numpy_function(lambda: os.kill(os.getpid(), signal.SIGKILL), [], [])
        return x

def build(hp):
    inputs = keras.Input((8, 8, 1))
    x = inputs if hp.Choice("kind", ["good", "lethal"]) == "good" else Lethal()(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
"""


def test_a_candidate_that_kills_the_process_is_given_up_and_the_search_goes_on(tmp_path):
    """As the kernel does if the memory of the host runs out."""
    (tmp_path / "lethal.py").write_text(LETHAL)
    options = ("space={hypermodel: 'lethal:build'}", "objectives=[error, parameters]")
    words = ["search", *tiny(*options, "search={candidates: 2, population: 2}"), "--run-dir", "run"]
    for _ in range(2):
        xnas(*words, cwd=tmp_path, code=-signal.SIGKILL)
    finished = xnas(*words, cwd=tmp_path)
    found = {c.hyperparameters["kind"]: c for c in xt.load_run(tmp_path / "run").candidates()}
    assert found["good"].state == "done" and found["lethal"].state == "failed"
    assert found["lethal"].reason == DEAD
    assert f"the process died while candidate {found['lethal'].id} was" in finished.stderr


def test_an_interrupted_search_finds_what_an_uninterrupted_one_finds(tmp_path, finished):
    run = tmp_path / "run"
    process = start("search", *tiny(), "--run-dir", run, cwd=tmp_path)
    wait_for(process, "1/4")
    process.kill()
    process.wait()
    xnas("search", *tiny(), "--run-dir", run, cwd=tmp_path)
    whole = done(finished[0])
    assert {g: c.objectives for g, c in done(run).items()} == {
        g: c.objectives for g, c in whole.items()
    }


def test_two_searches_in_one_run_are_refused(tmp_path):
    run, words = tmp_path / "run", plain(tmp_path, SIX)
    process = start("search", *words, "--run-dir", run, cwd=tmp_path)
    wait_for(process, "1/6")
    status = json.loads(xnas("status", run, "--format", "json", cwd=tmp_path).stdout)
    assert status["searching"]
    before = (run / "config.yaml").read_bytes()
    other = [*words, "--set", "distributed.stall_minutes=7"]
    refused = xnas("search", *other, "--run-dir", run, cwd=tmp_path, code=2)
    assert "another process is searching" in refused.stderr
    assert (run / "config.yaml").read_bytes() == before
    process.kill()
    process.wait()


def test_a_full_disk_ends_with_1_and_loses_nothing(tmp_path):
    """Files larger than a limit cannot be written, as on a full disk."""
    run = tmp_path / "run"
    words = ["search", *plain(tmp_path, "search={candidates: 2, population: 2}"), "--run-dir", run]
    failed = xnas(*words, cwd=tmp_path, code=1, limit=40_000)
    assert "xnas-tf:" in failed.stderr and "cannot be written" in failed.stderr
    xnas(*words, cwd=tmp_path)
    assert len(done(run)) == 2
