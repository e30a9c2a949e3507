"""Real kills of real ranks: xnas-tf launch goes on until the search is done."""

import json
import signal
import textwrap
import time

import numpy as np
import pytest

from tests.e2e.conftest import tiny
from tests.e2e.launches import candidates_of, check_whole, needs_horovod, ranks_of

pytestmark = needs_horovod

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


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        (1, ["1 train", "0 score", "1 score", "0 write"]),
        (2, ["1 train", "1 score", "0 train"]),
    ],
)
def test_whoever_dies_whenever_the_search_is_finished(tmp_path, launch, size, plan):
    """Leaders, members and rank 0, in trainings, scores and writes."""
    (tmp_path / "saboteur.py").write_text(SABOTEUR)
    (tmp_path / "plan").write_text("\n".join(plan))
    words = ["search", "--run-dir", "run"]
    words += tiny(
        "objectives=[{name: 'saboteur:Deadly'}, parameters]",
        f"distributed.ranks_per_candidate={size}",
        "search={candidates: 10, population: 3}",
    )
    process = launch(2, words, SABOTAGE=str(tmp_path / "plan"))
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    assert (tmp_path / "plan").read_text() == "", output
    # Two may die before horovodrun has ended the job.
    assert 1 <= output.count("starting again in") <= len(plan)
    check_whole(tmp_path / "run", 10)


TROUBLES = """
import os, time
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
        if self.kind == f"rank {hvd.rank()} exits":
            os._exit(1)  # as some libraries do
        if self.kind == f"rank {hvd.rank()} aborts":
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


def test_troubled_candidates_end_as_failed_and_the_rest_completes(tmp_path, launch):
    (tmp_path / "troubles.py").write_text(TROUBLES)
    words = ["search", "--run-dir", "run"]
    words += tiny(
        "space={hypermodel: 'troubles:build'}",
        "search={candidates: 5, population: 5}",
        "distributed={ranks_per_candidate: 2, stall_minutes: 1}",
    )
    process = launch(2, words, TROUBLES="nan,hang,all out of memory,one out of memory")
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    found = {c.hyperparameters["kind"]: c for c in check_whole(tmp_path / "run", 5)}
    assert found.pop("none").state == "done"
    assert {c.state for c in found.values()} == {"failed"}
    assert found["nan"].reason == "the loss became nan in epoch 1"
    assert "it hung: no step for 1 minutes" in found["hang"].reason
    for kind in ("all out of memory", "one out of memory"):
        assert "a GPU is full" in found[kind].reason
    # Where all ranks fail alike the job goes on, unless they do so more than 5 s apart.
    assert output.count("starting again in") in (2, 3), output


@pytest.mark.parametrize("kinds", [["rank 0 exits"], ["rank 1 exits", "rank 1 aborts"]])
def test_candidates_that_end_processes_end_as_failed_too(tmp_path, launch, kinds):
    """Rank 0 notes the death of another one; of its own only launch can."""
    (tmp_path / "troubles.py").write_text(TROUBLES)
    number = 1 + len(kinds)
    words = ["search", "--run-dir", "run"]
    words += tiny(
        "space={hypermodel: 'troubles:build'}",
        f"search={{candidates: {number}, population: {number}}}",
        "distributed.ranks_per_candidate=2",
    )
    process = launch(2, words, TROUBLES=",".join(kinds))
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    found = {c.hyperparameters["kind"]: c for c in check_whole(tmp_path / "run", number)}
    assert found.pop("none").state == "done"
    reason = "a rank of its group died 2 times while it was trained"
    assert {kind: (c.state, c.reason) for kind, c in found.items()} == {
        kind: ("failed", reason) for kind in kinds
    }


LONG = tiny(
    "training={epochs: 40000, batch_size: 16, checkpoint_minutes: 60}",
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
def test_sigterm_saves_the_trainings_and_the_next_start_goes_on_from_there(tmp_path, launch, ranks):
    run = tmp_path / "run"
    words = ["search", *LONG, "--run-dir", str(run), "--set", "distributed.ranks_per_candidate=1"]
    process = launch(ranks, words)
    wait_for_training(process, ranks)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 143 and time.monotonic() - begin < 30, output
    saved = [progress_of(run, number) for number in range(1, ranks + 1)]
    assert all(p["epoch"] + p["step"] > 0 for p in saved), output
    assert [c.deaths for c in candidates_of(run)] == [0] * ranks  # nobody is to blame
    # The next start does not begin anew: a checkpoint of its own is further on.
    process = launch(ranks, words)
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
