"""Inputs drawn at random: no traceback, no lost label, and the metrics that Keras gives.

``bin/test`` takes 48 of them, ``bin/test all`` 5,000.
"""

import importlib
import json

import keras
import keras_tuner
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import left_to_all
from tests.fuzz import MODEL_EVERY, make_input
from xnas_tf.cli import main
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.storage.run import Run

QUICK, ALL, BLOCK = 50, 5_000, 50
SEARCHES = range(0, QUICK, MODEL_EVERY)
SEEDS = [seed for seed in range(QUICK) if seed not in SEARCHES[1:]]


@pytest.fixture
def restored(monkeypatch, tmp_path_factory):
    """What a user's module changes for the whole process is as before."""
    policy = keras.config.dtype_policy()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield monkeypatch
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("seed", [*SEEDS, *left_to_all(*SEARCHES[1:])])
def test_an_input_is_read_right_or_refused_in_words(seed, tmp_path, restored):
    check(seed, tmp_path, restored)


@pytest.mark.long
@pytest.mark.parametrize("first", range(QUICK, ALL, BLOCK))
def test_more_inputs(first, tmp_path, restored):
    wrong = {}
    for seed in range(first, first + BLOCK):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            check(seed, folder, restored)
        except Exception as error:  # noqa: BLE001 - shown with all others
            wrong[seed] = f"{type(error).__name__}: {error}"
    assert not wrong, "\n\n".join(f"seed {seed}: {text}" for seed, text in wrong.items())


def check(seed, folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = make_input(seed, folder)
    is_search = given.words[0] == "search"
    words = given.words if is_search else [*given.words, "--format", "json"]
    done = CliRunner().invoke(main, words)
    said = f"{given.changes}\n{done.stderr}"
    assert done.exception is None or isinstance(done.exception, SystemExit), (
        f"{said}\n{done.exception!r}"
    )
    assert "Traceback" not in done.output, said
    if done.exit_code:
        is_right = not keras_trains(seed, folder) if is_search else given.may_be_refused
        assert is_right, said
        assert done.exit_code in ((1, 2) if is_search else (2,)), said
        assert "xnas-tf: " in done.stderr and len(done.stderr) > 30, said
    elif is_search:
        agrees_with_keras(seed, folder, said)
    elif given.sizes:
        no_label_is_lost(json.loads(done.stdout), given, said)


def no_label_is_lost(report, given, said):
    found = {name: sum(row.values()) for name, row in report["classes"].items()}
    left_out = len(report["problems"]["unreadable"])
    assert sum(found.values()) + left_out >= sum(given.sizes), said
    assert sum(found.values()) <= sum(given.sizes), said
    assert sorted(found.values()) == sorted(given.sizes), f"{found}, not {given.sizes}: {said}"
    if given.counts:
        assert found == given.counts, said


def agrees_with_keras(seed, folder, said):
    """The recorded error and loss are those of ``evaluate`` with the weights that were kept."""
    run = Run(folder / "run")
    (candidate,) = run.candidates()
    assert candidate.state == "done", f"{candidate.reason}: {said}"
    monkey = importlib.import_module(f"mine_{seed}")
    model = monkey.build(fixed(candidate.hyperparameters))
    kept = keras.models.load_model(run.path / candidate.model_path, compile=False, safe_mode=False)
    model.set_weights(kept.get_weights())
    data = load_dataset(**load_config(run.config).dataset.model_dump()).validation
    images = data.images / np.float32(255)
    outputs = np.asarray(model.predict(images, verbose=0), np.float32)
    if outputs.shape[1] == 1:
        threshold = 0.5 if model.layers[-1].activation is keras.activations.sigmoid else 0
        predicted = (outputs[:, 0] > threshold).astype(int)
    else:
        predicted = outputs.argmax(axis=1)
    error = np.mean(predicted != data.labels)
    assert candidate.objectives["error"] == pytest.approx(error, abs=1e-6), said
    targets = targets_of(model, data.labels, outputs.shape[1])
    keras_says = model.evaluate(images, targets, verbose=0, return_dict=True)
    close = 1e-4 if "float32" in said else 3e-2
    assert candidate.metrics["val_loss"] == pytest.approx(keras_says["loss"], rel=close), said


def keras_trains(seed, folder):
    """Whether ``fit`` trains the HyperModel's default model."""
    try:
        model = importlib.import_module(f"mine_{seed}").build(keras_tuner.HyperParameters())
        with np.load(folder / "data.npz") as data:
            images, labels = data["x"][..., None] / np.float32(255), data["y"]
        targets = targets_of(model, labels, model.output_shape[1])
        model.fit(images, targets, batch_size=16, verbose=0)
    except Exception:  # noqa: BLE001 - Keras may raise anything
        return False
    return True


def targets_of(model, labels, outputs):
    """One-hot labels for the losses that take these."""
    loss = model.loss[0] if isinstance(model.loss, list) else model.loss
    name = loss if isinstance(loss, str) else type(loss).__name__
    is_sparse = "sparse" in name.lower() or name in ("function", "partial") or outputs == 1
    return labels if is_sparse else np.eye(outputs, dtype=np.float32)[labels]


def fixed(values):
    """Hyperparameters with these values."""
    hp = keras_tuner.HyperParameters()
    for name, value in values.items():
        hp.Fixed(name, value)
    return hp
