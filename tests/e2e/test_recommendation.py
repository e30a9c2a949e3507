"""Every command that has to choose takes the same candidate, or says that none is recommended."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import xnas_tf as xt
from tests.e2e.conftest import tiny, xnas
from xnas_tf.cli import main
from xnas_tf.exporting.markdown import text
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import DATABASE, model_path

WORDS = {
    "explain": ["--count", "1"],
    "disentangle": ["--epochs", "1", "--images", "6", "--classes", "0,1"],
    "interpret": ["--epochs", "1", "--attributes", "4"],
    "export": ["--format", "keras"],
    "retrain": ["--epochs", "1", "--seeds", "1", "--no-baseline", "--format", "json"],
}
"""Commands that take one model, shortened."""


AT_RANDOM = tiny("search={candidates: 4, population: 2, algorithm: random}")
"""What it proposes does not depend on values, so that a run with other values can be resumed."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder of a finished search."""
    folder = tmp_path_factory.mktemp("searched")
    xnas("search", *AT_RANDOM, "--run-dir", "run", cwd=folder)
    small_model().save(folder / "small.keras")
    return folder / "run"


def small_model():
    """A network that has learned the digits, with which commands are quick."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    head = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, head])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    train = xt.load_dataset("digits").train
    model.fit(train.images / np.float32(255), train.labels, epochs=3, verbose=0)
    return model


def run_of(searched, path, accuracies):
    """A copy of a run with these accuracies and ever better explanations; all have the
    small model."""
    shutil.copytree(searched, path)
    known = {candidate.id: candidate for candidate in xt.load_run(path).candidates()}
    record = Database(path / DATABASE, create=True)
    for number, accuracy in enumerate(accuracies, start=1):
        values = {"error": 1 - accuracy, "introspectability": 0.2 * number}
        metrics = {**known[number].metrics, "val_accuracy": accuracy, "test_accuracy": accuracy}
        record.save(replace(known[number], state="done", objectives=values, metrics=metrics))
        shutil.copy(searched.parent / "small.keras", model_path(path, number))
    record.close()
    return xt.load_run(path)


def said(*words, code=0):
    """What a command prints; in this process, which has imported TensorFlow already."""
    done = CliRunner().invoke(main, [*map(str, words)], prog_name="xnas-tf")
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def shown_in_report(run):
    said("report", run.path, "--models", 0)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["recommended"]


def test_all_commands_choose_the_same(searched, tmp_path):
    """The second: near the best error, and there the most introspectable. It is the best in
    neither objective, and the last is the most introspectable of all, at chance."""
    run = run_of(searched, tmp_path / "run", [0.9, 0.89, 0.7, 0.1])
    assert [c.id for c in run.pareto()] == [1, 2, 3, 4]
    found = run.recommendation()
    assert found.id == run.best.id == 2 and "1 on the front no better than chance" in found.why
    for words in (["pareto"], ["status"]):
        told = json.loads(said(*words, run.path, "--format", "json").stdout)
        assert (told["recommended"], told["why"]) == (2, found.why)
    assert f"recommended: {found.text}" in said("pareto", run.path).stderr
    assert found.text in said("status", run.path).stdout
    assert f"recommended: {found.text}" in said("search", *AT_RANDOM, "--run-dir", run.path).stderr
    assert shown_in_report(run) == {"id": 2, "why": found.why, "on_test": ""}
    told = {name: said(name, run.path, *words) for name, words in WORDS.items()}
    for name in ("explain", "disentangle", "interpret"):
        assert "candidate-00002: open" in told[name].stderr.splitlines()[-1]
    exported = run.path / "exports" / "candidate-00002"
    assert told["export"].stdout.split() == [str(exported)]
    card = json.loads((exported / "card.json").read_text("utf-8"))
    explained = card["explanations"]["quality"]["explained"]
    readme = (exported / "README.md").read_text("utf-8")
    assert explained["metrics"] and all(text(row[1]) in readme for row in explained["metrics"])
    trained = json.loads(told["retrain"].stdout)["trainings"]
    assert [training["candidate"] for training in trained] == [2]
    tuner = xt.Tuner("nas_bench_201", directory=tmp_path, project_name="run")
    assert tuner.get_best_hyperparameters()[0].values == run.best.hyperparameters


def test_a_run_of_an_earlier_version_learns_its_chance_level_when_it_is_resumed(finished, tmp_path):
    path = shutil.copytree(finished[0], tmp_path / "run")
    counts = xt.load_dataset("digits").counts["validation"].tolist()
    run = xt.load_run(path)
    assert run.validation_counts == counts
    with closing(sqlite3.connect(path / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM facts WHERE name='validation'")
    assert "chance level unknown" in run.recommendation().why
    said("search", *tiny(), "--run-dir", path)
    assert run.validation_counts == counts
    assert "chance level unknown" not in run.recommendation().why


def test_options_reach_the_rule(searched, tmp_path):
    run = run_of(searched, tmp_path / "run", [0.9, 0.89, 0.7, 0.1])
    for words, expected in (
        (["--within", 0], 1),
        (["--prefer", "error"], 1),
        (["--prefer", "introspectability"], 3),
        (["--prefer", "introspectability", "--within", 5], 2),
    ):
        told = json.loads(said("pareto", run.path, "--format", "json", *words).stdout)
        assert told["recommended"] == expected == run.recommendation(*wishes(words)).id
    said("report", run.path, "--models", 0, "--prefer", "introspectability")
    assert '"recommended":{"id":3,' in (run.path / "report.html").read_text(encoding="utf-8")
    wrong = said("pareto", run.path, "--prefer", "introspectabilty", code=2).stderr
    assert "did you mean 'introspectability'" in wrong
    assert (
        "did you mean 'recommended'"
        in said("export", run.path, "--candidate", "recomended", code=2).stderr
    )
    out = tmp_path / "exports"
    words = ["--candidate", "best", "--candidate", 3, "--candidate", "1", "--format", "keras"]
    folders = said("export", run.path, *words, "--out", out).stdout.split()
    assert folders == [str(out / "candidate-00001"), str(out / "candidate-00003")]


def wishes(words):
    """Options as arguments of ``Run.recommendation``."""
    given = dict(zip(words[::2], words[1::2], strict=True))
    return given.get("--prefer"), given.get("--within")


@pytest.mark.long
def test_where_nothing_learned_none_is_recommended_and_ids_still_work(searched, tmp_path):
    run = run_of(searched, tmp_path / "run", [0.1, 0.09, 0.08, 0.07])
    assert run.best is None
    told = json.loads(said("pareto", run.path, "--format", "json").stdout)
    assert told["recommended"] is None and "training.learning_rate" in told["why"]
    for words in (["pareto"], ["search", *AT_RANDOM, "--run-dir"]):
        assert "recommended: none, as none of the 4 candidates" in said(*words, run.path).stderr
    assert "none, as none of the 4" in said("status", run.path).stdout
    assert shown_in_report(run) == {"id": None, "why": told["why"], "on_test": ""}
    said("pareto", run.path, "--plot", tmp_path / "front.png")
    for name, words in WORDS.items():
        refused = said(name, run.path, *words, code=2).stderr
        assert "no recommended candidate" in refused and "--candidate ID" in refused
    assert not (run.path / "explanations").exists() and not (run.path / "exports").exists()
    for name in ("explain", "export"):
        said(name, run.path, *WORDS[name], "--candidate", 3)
        said(name, run.path, *WORDS[name], "--candidate", "best")
    assert {path.name for path in (run.path / "exports").iterdir()} == {
        "candidate-00001",
        "candidate-00003",
    }
