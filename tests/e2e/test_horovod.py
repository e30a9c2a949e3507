"""A real horovodrun with two ranks."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import pytest

import xnas_tf as xt
from tests.e2e.conftest import BIN, IN_PLAIN, environment, plain, tiny, xnas
from tests.e2e.records import needs_horovod
from tests.e2e.test_durability import done as finished_in
from tests.e2e.test_durability import start, wait_for

pytestmark = needs_horovod

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
from xnas_tf.training.timing import TimedCommunicator
from xnas_tf.utils.phase_times import PhaseTimes
from xnas_tf.training.callbacks import EvaluationCallback
from xnas_tf.training.trainer import Trainer
class TaskCallback(EvaluationCallback):
    data, kept, wants_checkpoint = None, (), lambda self: True
    def save_checkpoint(self, data):
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
    supervisor, seconds = TaskCallback(), PhaseTimes()
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
assert resumed[1] == whole[1]  # the training metrics lack images of rank 1 before the checkpoint
assert resumed[0][0] == whole[0][0]
(plain, _), _ = train(0, None, dropout=0)
(history, _), _ = train(0, None, "mixed_precision=true", dropout=0)
np.testing.assert_allclose(history[1]["loss"], plain[1]["loss"], rtol=0.01)
totals = ranks.sum(np.float32([1, 2]), np.arange(3), np.ones(2, bool).astype(np.float32))
assert [total.tolist() for total in totals] == [[2, 4], [0, 2, 4], [2, 2]]
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


PREDICTOR = """
import keras
keras.utils.set_random_seed(0)
inputs = keras.Input((8, 8, 1))
x = keras.layers.Conv2D(6, 3, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
model.save("model.keras")
"""


@pytest.mark.long
def test_two_ranks_train_the_interpreter_of_one(tmp_path):
    subprocess.run([sys.executable, "-c", PREDICTOR], cwd=tmp_path, check=True)
    words = ["interpret", "model.keras", "--dataset", "digits", "--mode", "by-design"]
    words += ["--epochs", "3", "--attributes", "5"]
    xnas(*words, "--out", "one", cwd=tmp_path)
    done = horovodrun(*words, "--out", "two", cwd=tmp_path)
    assert done.stderr.count("wrote two") == 1
    one, two = (
        json.loads((tmp_path / n / "interpretation.json").read_text()) for n in ("one", "two")
    )
    for alone, transaction in zip(one["history"], two["history"], strict=True):
        assert transaction == pytest.approx(alone, rel=1e-3)
    means = [each["test"]["attribute_means"] for each in (one, two)]
    assert means[0] == pytest.approx(means[1], abs=1e-2)


@pytest.mark.long
def test_two_ranks_score_introspectability_as_one_does(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    words = [sys.executable, str(tmp_path / "score.py")]
    alone = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    transaction = horovodrun(words[1], cwd=tmp_path, program=words[0])
    found = []
    for text in (alone.stdout, transaction.stdout):
        lines = [line.split("score ")[1] for line in text.splitlines() if "score " in line]
        assert len(lines) == 2
        found.append([float(number) for line in lines for number in line.split()])
    assert found[1] == pytest.approx(found[0], abs=1e-5)


@pytest.mark.long
def test_two_ranks_disentangle_as_one_does(tmp_path):
    keras.utils.set_random_seed(0)
    conv = keras.layers.Conv2D(4, 3, activation="relu", name="conv")
    head = [keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), conv, *head]).save(tmp_path / "model.keras")
    words = ["disentangle", "model.keras", "--dataset", "digits", "--epochs", 4, "--images", 20]
    xnas(*words, "--out", "one", cwd=tmp_path)
    horovodrun(*words, "--out", "two", cwd=tmp_path)
    one, two = (
        json.loads((tmp_path / out / "disentanglement.json").read_text()) for out in ("one", "two")
    )
    assert two == one


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder and the output of a finished search on one process, in ``PLAIN``."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, xnas("search", *plain(folder), "--run-dir", "one", cwd=folder)


def check_same(run, reference):
    """The same architectures of the same parents, seeds and values, in the same order."""
    for one, other in zip(*(xt.load_run(r).candidates() for r in (run, reference)), strict=True):
        assert one.state == other.state == "done"
        assert (one.genotype, one.seed, one.parents) == (other.genotype, other.seed, other.parents)
        assert one.objectives == pytest.approx(other.objectives, rel=1e-4)


def test_rank_0_alone_writes_the_same_record(alone):
    folder, first = alone
    done = horovodrun("search", *tiny(IN_PLAIN), "--run-dir", "two", cwd=folder)
    columns = ["error ↓", "introspectability ↑", "test accuracy", "parents", "genotype"]
    for text in (first.stdout, done.stdout):
        assert all(column in text for column in columns)
    # horovodrun marks each line with the rank that printed it
    assert "<stdout>" in done.stdout and "[1]<stdout>" not in done.stdout
    listings = [
        json.loads(xnas("pareto", run, "--all", "--format", "json", cwd=folder).stdout)
        for run in ("one", "two")
    ]
    assert [set(listing["candidates"][0]) for listing in listings][0] == set(
        listings[1]["candidates"][0]
    )
    assert len(listings[1]["candidates"]) == 4
    check_same(folder / "two", folder / "one")


@pytest.mark.long
def test_a_run_begun_on_one_process_goes_on_with_two_ranks(alone):
    folder, _ = alone
    run = folder / "cut"
    process = start("search", *tiny(IN_PLAIN), "--run-dir", run, cwd=folder)
    wait_for(process, "2/4")
    process.kill()
    process.wait()
    before = finished_in(run)
    assert 2 <= len(before) < 4
    horovodrun("search", *tiny(IN_PLAIN), "--run-dir", run, cwd=folder)
    after = finished_in(run)
    for genotype, candidate in before.items():
        again = after[genotype]
        assert candidate.metrics.items() <= again.metrics.items()  # the best are tested in the end
        kept = {"metrics": candidate.metrics, "model_path": candidate.model_path}
        assert replace(again, **kept) == candidate
    assert xt.load_run(run).groups() == (1, 2)
    check_same(run, folder / "one")


@pytest.mark.long
def test_two_ranks_go_on_from_the_leaders_checkpoint_to_the_same_weights(tmp_path):
    (tmp_path / "resume.py").write_text(RESUME)
    done = horovodrun(tmp_path / "resume.py", cwd=tmp_path, program=sys.executable)
    assert done.stdout.count("all equal") == 2
