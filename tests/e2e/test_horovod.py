"""A real horovodrun with two ranks."""

import json
import shutil
import subprocess
import sys

import pytest

import xnas_tf as xt
from tests.e2e.conftest import BIN, environment, tiny, xnas

pytestmark = pytest.mark.skipif(
    not (BIN / "horovodrun").exists(), reason="Horovod is not installed (no compiler?)"
)

PLAIN = """
import keras
def build(hp):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(hp.Int("filters", 4, 9), 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
"""


SCORE = """
import sys
import keras, numpy as np
import xnas_tf.distributed
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.introspectability import Introspectability
config = load_config(overrides=["dataset=digits"])
ranks = xnas_tf.distributed.start(config.distributed, True)
part = load_dataset("digits").validation
keras.utils.set_random_seed(1)
inputs = keras.Input((8, 8, 1))
x = keras.layers.Conv2D(6, 3, activation="relu")(inputs)
x = keras.layers.Conv2D(20, 3, activation="relu")(x)
model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
mine = slice(ranks.rank, None, ranks.size)
images, labels = part.images[mine], part.labels[mine]
probabilities = np.asarray(model(images / np.float32(255)))
names = tuple("0123456789")
sources = ["activations", "grad_cam", "integrated_gradients"]
for group_by in ("predicted", "true"):
    objective = Introspectability(sources=sources, images=201, group_by=group_by)
    subject = Subject(model, ranks, names, images, labels, probabilities)
    score = objective.score(subject)
    if ranks.rank == 0:
        print("score", score.value, *(score.metrics[k] for k in sorted(score.metrics)))
"""

RESUME = """
import keras, numpy as np
import xnas_tf.distributed
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.evaluation.seconds import Seconds, TimedCommunicator
from xnas_tf.evaluation.supervision import Unsupervised
from xnas_tf.evaluation.training import Trainer
class Supervisor(Unsupervised):
    data, kept, wants_checkpoint = None, (), lambda self: True
    def keep_checkpoint(self, data):
        self.kept += (data,)
    def checkpoint(self):
        return self.data
def train(seed, data, *more, dropout=0.3):
    settings = ["epochs=2", "batch_size=100", "optimizer=adam", "augmentation.crop=1", *more]
    config = load_config(overrides=["dataset=digits", *("training." + s for s in settings)])
    global ranks
    ranks = ranks or xnas_tf.distributed.start(config.distributed, True)
    keras.utils.set_random_seed(seed + ranks.rank)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    layers.append(keras.layers.Dropout(dropout))
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Dense(10)])
    supervisor, seconds = Supervisor(), Seconds()
    supervisor.data = data
    timed = TimedCommunicator(ranks, seconds)
    trainer = Trainer(model, load_dataset("digits"), config.training, timed, 4, supervisor, seconds)
    while trainer.progress.epoch < 2:
        trainer.progress.history.append(trainer.run_epoch())
    assert seconds["communication"] > 0 and seconds["trace"] > 0
    assert bool(supervisor.kept) == (ranks.rank == 0)
    variables = [np.array(v).tobytes() for v in (*model.variables, *model.optimizer.variables)]
    return (trainer.progress.history, variables), supervisor.kept
ranks = None
whole, kept = train(0, None)
resumed, _ = train(7, kept[13] if kept else None)
assert resumed == whole
# XLA draws other random numbers, so that these train without dropout.
(plain, _), _ = train(0, None, dropout=0)
for mode, tolerance in (("jit_compile=true", 1e-4), ("mixed_precision=true", 0.01)):
    (history, _), _ = train(0, None, mode, dropout=0)
    np.testing.assert_allclose(history[1]["loss"], plain[1]["loss"], rtol=tolerance)
print("all", "equal")
"""


def horovodrun(*words, cwd, program=BIN / "xnas-tf", ranks=2):
    done = subprocess.run(
        [str(BIN / "horovodrun"), "-np", str(ranks), *map(str, (program, *words))],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def test_two_ranks_score_introspectability_as_one_does(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    words = [sys.executable, str(tmp_path / "score.py")]
    alone = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    together = horovodrun(words[1], cwd=tmp_path, program=words[0])
    found = []
    for text in (alone.stdout, together.stdout):
        lines = [line.split("score ")[1] for line in text.splitlines() if "score " in line]
        assert len(lines) == 2
        found.append([float(number) for line in lines for number in line.split()])
    assert found[1] == pytest.approx(found[0], abs=1e-5)


def test_rank_0_alone_writes_the_same_record(finished, tmp_path):
    done = horovodrun("search", *tiny(), "--run-dir", tmp_path / "two", cwd=tmp_path)
    columns = ["error ↓", "introspectability ↑", "test accuracy", "parents", "genotype"]
    for text in (finished[1].stdout, done.stdout):
        assert all(column in text for column in columns)
    # horovodrun marks each line with the rank that printed it
    assert "<stdout>" in done.stdout and "[1]<stdout>" not in done.stdout
    listings = [
        json.loads(xnas("pareto", run, "--all", "--format", "json", cwd=tmp_path).stdout)
        for run in (finished[0], tmp_path / "two")
    ]
    assert [set(listing["candidates"][0]) for listing in listings][0] == set(
        listings[1]["candidates"][0]
    )
    assert len(listings[1]["candidates"]) == 4


def test_a_run_begun_on_one_process_goes_on_with_two_ranks(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    before = xt.load_run(run).candidates()
    horovodrun("search", *tiny(), "--run-dir", run, cwd=tmp_path)
    assert xt.load_run(run).candidates() == [
        type(c)(**{**vars(c), "model_path": after.model_path})
        for c, after in zip(before, xt.load_run(run).candidates(), strict=True)
    ]


def test_two_ranks_go_on_from_the_leaders_checkpoint_to_the_same_weights(tmp_path):
    (tmp_path / "resume.py").write_text(RESUME)
    done = horovodrun(tmp_path / "resume.py", cwd=tmp_path, program=sys.executable)
    assert done.stdout.count("all equal") == 2
