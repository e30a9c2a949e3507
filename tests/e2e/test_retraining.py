"""xnas-tf retrain, killed and told to leave."""

import json
import shutil
import signal
import subprocess
from dataclasses import asdict

import psutil
import pytest

import xnas_tf as xt
from tests.e2e.conftest import BIN, environment, xnas
from tests.e2e.records import needs_horovod
from tests.e2e.test_durability import start, wait_for
from xnas_tf.retraining.results import BASELINE

WORDS = ["--epochs", "3", "--set", "space.channels=3"]


def copy_of(finished, folder):
    return shutil.copytree(finished[0], folder)


def results_of(run):
    """What the trainings of the only retraining found, by name."""
    (retraining,) = xt.retrainings(xt.load_run(run))
    names = ("state", "reason", "objectives", "metrics", "history")
    return {t.name: {name: asdict(t)[name] for name in names} for t in retraining.trainings()}


def on_two_ranks(run, folder, seeds=2):
    """Starts a retraining under horovodrun."""
    words = [BIN / "horovodrun", "-np", 2, BIN / "xnas-tf", "retrain", run, "--pareto", *WORDS]
    return subprocess.Popen(
        [*map(str, words), "--seeds", str(seeds)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_horovod
@pytest.mark.long
def test_under_horovodrun_it_survives_a_kill_and_ends_with_intervals(tmp_path, finished):
    run, other = copy_of(finished, tmp_path / "run"), copy_of(finished, tmp_path / "other")
    process = on_two_ranks(run, tmp_path)
    wait_for(process, "seed 0: test accuracy")
    wait_for(process, "epoch 2 of 3")
    family = psutil.Process(process.pid).children(recursive=True)
    for each in [*family, process]:
        each.kill()
    psutil.wait_procs(family, timeout=60)
    process.communicate()
    (retraining,) = xt.retrainings(xt.load_run(run))
    before = {training.name: training.finished for training in retraining.trainings()}
    (interrupted,) = (file.stem for file in (retraining.path / "checkpoints").glob("*.npz"))
    assert before and interrupted.endswith("-seed-0")

    process = on_two_ranks(run, tmp_path)
    table, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "from its checkpoint" in said
    rows = [line for line in table.splitlines() if "t, 2 seeds" in line]
    assert sum("candidate" in row for row in rows) == len(xt.load_run(run).pareto())
    assert sum("ResNet-8" in row for row in rows) == 1
    after = {training.name: training.finished for training in retraining.trainings()}
    assert before.items() < after.items()
    for training in retraining.trainings():
        assert training.metrics["parameters"] > 0
        assert retraining.load_model(training).count_params() >= training.metrics["parameters"]
        curves = run / "tensorboard" / "retrained" / retraining.path.name / training.name
        assert list(curves.glob("events.out*"))

    process = on_two_ranks(other, tmp_path, seeds=1)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    expected = results_of(other)
    assert interrupted in expected and expected.items() <= results_of(run).items()


def test_a_retraining_told_to_leave_goes_on_where_it_was(tmp_path, finished):
    run = copy_of(finished, tmp_path / "run")
    words = ["retrain", run, *WORDS, "--seeds", "1"]
    process = start(*words, cwd=tmp_path)
    wait_for(process, "epoch 2 of 3")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143, process.stderr.read()
    done = xnas(*words, "--format", "json", cwd=tmp_path)
    assert "from its checkpoint" in done.stderr
    found = json.loads(done.stdout)
    kinds = {bool(model["candidate"]): model["interval"] for model in found["models"]}
    assert kinds == {True: "Wilson, 360 images", False: "Wilson, 360 images"}
    assert [t["candidate"] for t in found["trainings"]][-1] == BASELINE
