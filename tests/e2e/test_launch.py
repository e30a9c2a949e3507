"""Real kills of real ranks: xnas-tf launch goes on until the search is done."""

import json
import random
import signal
import sqlite3
import subprocess
import textwrap
import time

import numpy as np
import psutil
import pytest

from tests.e2e.conftest import BIN, environment, tiny
from xnas_tf.errors import InputError
from xnas_tf.run.directory import now
from xnas_tf.run.record import Record

pytestmark = pytest.mark.skipif(
    not (BIN / "horovodrun").exists(), reason="Horovod is not installed (no compiler?)"
)

SABOTEUR = textwrap.dedent("""
    # A user's module that kills its own process where the next line of a list says.
    import os, signal
    from pathlib import Path
    import horovod.tensorflow as hvd
    import numpy as np
    import xnas_tf.evaluation.training as training
    import xnas_tf.run.record as record
    from xnas_tf.objectives.base import Objective, Score
    plan = Path(os.environ["SABOTAGE"])

    def maybe_die(where):
        lines = plan.read_text().splitlines()
        if lines and lines[0] == f"{hvd.rank()} {where}":
            plan.write_text("\\n".join(lines[1:]))
            os.kill(os.getpid(), signal.SIGKILL)

    batches, save = training.training_batches, record.Record.save

    def deadly_batches(*args, **kwargs):
        for number, batch in enumerate(batches(*args, **kwargs)):
            if number == 3:
                maybe_die("train")
            yield batch

    def deadly_save(self, candidate):
        with self.together():
            save(self, candidate)
            if candidate.state == "done":
                maybe_die("write")  # written, and not yet committed

    training.training_batches, record.Record.save = deadly_batches, deadly_save

    class Deadly(Objective):
        name: str = "deadly"
        def score(self, subject):
            maybe_die("score")
            right = (subject.labels == subject.predicted).sum()
            (sums,) = subject.communicator.sum(np.array([right, len(subject.labels)]))
            return Score(1 - float(sums[0] / sums[1]))
""")


def launch(ranks, words, cwd, more=(), **variables):
    return subprocess.Popen(
        [str(BIN / "xnas-tf"), "launch", "-np", str(ranks), *more, "--", *map(str, words)],
        cwd=cwd,
        env={**environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def check_whole(run, wanted):
    """The requested number is there, nothing twice, and the database is sound."""
    candidates = candidates_of(run)
    trained = [c for c in candidates if c.trained]
    assert len(trained) == wanted
    assert len({c.genotype for c in candidates}) == len(candidates)
    assert sorted(c.answer for c in candidates) == list(range(1, len(candidates) + 1))
    check = sqlite3.connect(run / "run.sqlite").execute("PRAGMA integrity_check").fetchone()
    assert check == ("ok",)
    return candidates


def candidates_of(run):
    """All candidates, without the configuration: it may name a user's module. None before there
    is a whole record."""
    try:
        record = Record(run / "run.sqlite")
    except InputError:
        return []
    try:
        return record.candidates()
    finally:
        record.close()


def finished(run):
    """What is known for good by now."""
    return {c.genotype: (c.id, c.started, c.objectives) for c in candidates_of(run) if c.answer}


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        (1, ["1 train", "0 score", "1 score", "0 write"]),
        (2, ["1 train", "1 score", "0 train"]),
    ],
)
def test_whoever_dies_whenever_the_search_is_finished(tmp_path, size, plan):
    """Leaders, members and rank 0, in trainings, scores and writes."""
    (tmp_path / "saboteur.py").write_text(SABOTEUR)
    (tmp_path / "plan").write_text("\n".join(plan))
    words = ["search", "--run-dir", "run"]
    words += tiny(
        "objectives=[{name: 'saboteur:Deadly'}, parameters]",
        f"distributed.ranks_per_candidate={size}",
        "search={candidates: 10, population: 3}",
    )
    process = launch(2, words, tmp_path, SABOTAGE=str(tmp_path / "plan"))
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    assert (tmp_path / "plan").read_text() == "", output
    # Two may die before horovodrun has ended the job.
    assert 1 <= output.count("starting again in") <= len(plan)
    check_whole(tmp_path / "run", 10)


def test_kills_at_twenty_random_instants_lose_and_repeat_nothing(tmp_path):
    run, rng = tmp_path / "run", random.Random(0)
    words = ["search", "--run-dir", run]
    words += tiny("distributed.ranks_per_candidate=1", "search={candidates: 60, population: 6}")
    process = launch(2, words, tmp_path, more=["--restarts", "40"])
    killed, known, end = 0, {}, time.monotonic() + 1200
    while killed < 20 and process.poll() is None:
        assert time.monotonic() < end
        ranks = wait_for_start(process)
        begin = now()
        # In turns while they start, and while they train: a start that is killed again and again
        # before it has reached anything is rightly given up.
        if killed % 2 == 0 or wait_until_all_train(process, run, begin):
            time.sleep(rng.uniform(0, 3))
        found = finished(run)
        assert known.items() <= found.items()
        known = found
        if ranks and kill(rng.choice(ranks)):
            killed += 1
            psutil.wait_procs(ranks, timeout=60)
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0 and killed == 20, output
    assert known.items() <= finished(run).items()
    check_whole(run, 60)


def wait_for_start(process, count=2):
    """The ranks of the next start; fewer if the job ends."""
    while len(ranks := ranks_of(process)) < count and process.poll() is None:
        time.sleep(0.05)
    return ranks


def wait_until_all_train(process, run, since, groups=2):
    """Until each group has been handed a candidate since then; whether that came."""
    while process.poll() is None:
        if len({c.group for c in candidates_of(run) if c.started >= since}) == groups:
            return True
        time.sleep(0.05)
    return False


def ranks_of(process):
    """The ranks of a launch that run at this moment."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return [p for p in family if "-m xnas_tf search" in " ".join(p.cmdline()) and is_rank(p)]
    except psutil.Error:
        return []


def is_rank(process):
    return "HOROVOD_RANK" in process.environ() and "xnas_tf" in process.cmdline()


def kill(process):
    try:
        process.kill()
        return True
    except psutil.Error:
        return False


TROUBLES = """
import time
import horovod.tensorflow as hvd
import keras, tensorflow as tf

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
            self.kind == "one out of memory" and hvd.rank() % 2 == 1
        ):
            raise MemoryError("a GPU is full")
        return x

    def compute_output_shape(self, shape):
        return shape

def build(hp):
    kinds = ["none", "nan", "hang", "all out of memory", "one out of memory"]
    kind = hp.Choice("kind", kinds)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    if kind != "none":
        x = Trouble(kind)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
"""


def test_troubled_candidates_end_as_failed_and_the_rest_completes(tmp_path):
    (tmp_path / "troubles.py").write_text(TROUBLES)
    words = ["search", "--run-dir", "run"]
    words += tiny(
        "space={hypermodel: 'troubles:build'}",
        "search={candidates: 5, population: 5}",
        "distributed={ranks_per_candidate: 2, stall_minutes: 0.5}",
    )
    process = launch(2, words, tmp_path)
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    found = {c.hyperparameters["kind"]: c for c in check_whole(tmp_path / "run", 5)}
    assert found.pop("none").state == "done"
    assert {c.state for c in found.values()} == {"failed"}
    assert found["nan"].reason == "the loss became nan in epoch 1"
    assert "it hung: no step for 0.5 minutes" in found["hang"].reason
    for kind in ("all out of memory", "one out of memory"):
        assert "a GPU is full" in found[kind].reason
    # Where all ranks fail alike the job goes on, unless they do so more than 5 s apart.
    assert output.count("starting again in") in (2, 3), output


LONG = tiny(
    "training={epochs: 400, batch_size: 16, checkpoint_minutes: 60}",
    "objectives=[error, parameters]",
    "search={candidates: 2, population: 2}",
)


def progress_of(run, number):
    """Epochs and steps in a checkpoint; None where there is none."""
    path = run / "checkpoints" / f"{number:05d}.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        return json.loads(file["arr_0"].tobytes())["progress"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_sigterm_saves_the_trainings_and_the_next_start_goes_on_from_there(tmp_path, ranks):
    run = tmp_path / "run"
    words = ["search", *LONG, "--run-dir", str(run), "--set", "distributed.ranks_per_candidate=1"]
    process = launch(ranks, words, tmp_path)
    wait_for_training(process, ranks)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 143 and time.monotonic() - begin < 30, output
    saved = [progress_of(run, number) for number in range(1, ranks + 1)]
    assert all(p["epoch"] + p["step"] > 0 for p in saved), output
    assert [c.deaths for c in candidates_of(run)] == [0] * ranks  # nobody is to blame
    # The next start does not begin anew: a checkpoint of its own is further on.
    process = launch(ranks, words, tmp_path)
    wait_for_training(process, ranks)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 143, output
    for number, before in enumerate(saved, 1):
        after = progress_of(run, number)
        assert (after["epoch"], after["step"]) > (before["epoch"], before["step"])
        assert after["history"][: before["epoch"]] == before["history"]


def wait_for_training(process, ranks):
    """Until each rank has used several seconds of its processor in the training."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "candidates to train" in line:
            break
    else:
        raise AssertionError("".join(lines))
    goal = None
    while process.poll() is None:
        spent = [p.cpu_times().user for p in ranks_of(process)]
        goal = goal or [seconds + 8 for seconds in spent]
        if len(spent) == ranks and all(s > g for s, g in zip(spent, goal, strict=True)):
            return
        time.sleep(0.2)
    raise AssertionError("".join([*lines, process.stdout.read()]))
