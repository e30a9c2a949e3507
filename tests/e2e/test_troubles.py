"""Candidates that hang, fill a memory or end their process, on Ray and in one Horovod job."""

import json
import signal
import subprocess

import numpy as np
import psutil
import pytest

from tests.e2e.conftest import BIN, environment, plain, tiny, xnas
from tests.e2e.records import candidates_of, check_whole, needs_horovod
from tests.e2e.test_durability import DEAD, wait_for

pytestmark = needs_horovod

TROUBLES = """
import os, time
import keras, tensorflow as tf

rank = int(os.environ.get("HOROVOD_RANK", 0))

class Trouble(keras.layers.Layer):
    def __init__(self, kind, **options):
        super().__init__(**options)
        self.kind = kind

    def call(self, x, training=False):
        if not training:
            return x
        acted = tf.numpy_function(self.act, [x], x.dtype)
        acted.set_shape(x.shape)
        return acted

    def act(self, x):
        if self.kind == "nan":
            return x * float("nan")
        if self.kind == "hang":
            time.sleep(600)
        if self.kind == "all out of memory" or (
            self.kind == "one out of memory" and rank == 1
        ):
            raise MemoryError("a GPU is full")
        if self.kind == f"rank {rank} exits":
            os._exit(1)  # as some libraries do
        if self.kind == f"rank {rank} aborts":
            os.abort()  # as C++ does when an assertion fails
        return x

    def compute_output_shape(self, shape):
        return shape

def build(hp):
    kind = hp.Choice("kind", ["none", *os.environ["TROUBLES"].split(",")])
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    if kind != "none":
        x = Trouble(kind)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
"""


def search(kinds, *more):
    """The words of a search in which each trouble happens once."""
    number = 1 + kinds.count(",") + 1
    return tiny(
        "space={hypermodel: 'troubles:build'}",
        f"search={{candidates: {number}, population: {number}}}",
        "training={epochs: 1, batch_size: 200}",
        *more,
    )


def check(run, kinds):
    """All candidates ended once, and only those failed that had a trouble."""
    found = {c.hyperparameters["kind"]: c for c in check_whole(run, kinds.count(",") + 2)}
    assert found.pop("none").state == "done"
    assert {c.state for c in found.values()} == {"failed"}
    return {kind: c.reason for kind, c in found.items()}


@pytest.mark.long
def test_on_ray_troubled_candidates_fail_and_the_rest_completes(tmp_path, monkeypatch):
    kinds = "nan,hang,all out of memory,one out of memory,rank 0 exits,rank 1 aborts"
    (tmp_path / "troubles.py").write_text(TROUBLES)
    monkeypatch.setenv("TROUBLES", kinds)
    words = search(kinds, "distributed={ranks_per_candidate: 2, stall_minutes: 0.3}")
    xnas("search", *words, "--groups", 1, "--run-dir", "run", cwd=tmp_path)
    reasons = check(tmp_path / "run", kinds)
    assert reasons["nan"] == "the loss became nan in epoch 1"
    assert "it hung: no step for 0.3 minutes" in reasons["hang"]
    for kind in ("all out of memory", "one out of memory"):
        assert "a GPU is full" in reasons[kind]
    assert reasons["rank 0 exits"] == reasons["rank 1 aborts"] == DEAD


@pytest.mark.long
def test_in_a_horovod_job_they_end_it_and_the_same_command_goes_on(tmp_path, monkeypatch):
    kinds = "all out of memory,one out of memory,rank 1 exits"
    (tmp_path / "troubles.py").write_text(TROUBLES)
    monkeypatch.setenv("TROUBLES", kinds)
    words = [BIN / "horovodrun", "-np", 2, BIN / "xnas-tf", "search", *search(kinds)]
    starts, job = 0, None
    while (job is None or job.returncode) and starts < 8:
        starts += 1
        job = subprocess.run(
            [*map(str, words), "--run-dir", "run"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
        )
    # Rank 0 notes two deaths each, unless it is told to leave before it has heard of one.
    assert starts >= 5 and job.returncode == 0, job.stderr
    reasons = check(tmp_path / "run", kinds)
    assert "a GPU is full" in reasons["all out of memory"]
    assert reasons["one out of memory"] == reasons["rank 1 exits"] == DEAD


LONG = (
    "training={epochs: 40000, batch_size: 16, checkpoint_minutes: 60}",
    "objectives=[error, parameters]",
    "search={candidates: 2, population: 2}",
)


def progress_of(run, number):
    """Epochs and steps in a checkpoint."""
    with np.load(run / "checkpoints" / f"{number:05d}.npz") as file:
        return json.loads(file["arr_0"].tobytes())["progress"]


def ranks_of(process):
    """The ranks of a Horovod job that run at this moment."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [p for p in found if "HOROVOD_RANK" in p.environ() and p.name() == "xnas-tf"]


def stopped(folder, first):
    """Where a training stands when its job got SIGTERM, as ``srun`` sends it to each rank, after
    its first epoch, which has this number."""
    words = ["search", *plain(folder, *LONG), "--run-dir", "run", "--verbose"]
    process = subprocess.Popen(
        list(map(str, [BIN / "horovodrun", "-np", 2, BIN / "xnas-tf", *words])),
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert f"epoch {first} of 40000" in wait_for(process, "candidate 1: epoch")[-1]
    ranks = ranks_of(process)
    assert len(ranks) == 2
    for rank in ranks:
        rank.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[1]
    assert process.returncode and "Exit code: 143" in output, output
    assert [c.lost_groups for c in candidates_of(folder / "run")] == [0]  # nobody is to blame
    return progress_of(folder / "run", 1)


def test_sigterm_saves_a_horovod_job_and_the_next_one_goes_on_from_there(tmp_path):
    before = stopped(tmp_path, first=1)
    after = stopped(tmp_path, first=before["epoch"] + 1)
    assert 1 <= before["epoch"] < after["epoch"]
    assert after["history"][: before["epoch"]] == before["history"]
