"""Exports of what was trained in full."""

import json
from dataclasses import asdict

import keras
import numpy as np
import pytest

import xnas_tf as xt
from tests.unit.test_exporting import GREY, convolutional, made_run, other_images
from xnas_tf.config import dump_config, load_config
from xnas_tf.errors import InputError
from xnas_tf.exporting.selection import chosen_models
from xnas_tf.retraining.results import Training


def retrained(run, key, figures, *words):
    """A retraining of the run's grey candidate, with seeds of these validation accuracies."""
    path = run.path / "retrained" / key
    for name in ("results", "models"):
        (path / name).mkdir(parents=True)
    config = load_config(run.config, ["training.learning_rate=0.25", *words])
    (path / "config.yaml").write_text(dump_config(config))
    (path / "retraining.json").write_text(json.dumps({"patience": 5, "test_images": 30}))
    for seed, accuracy in enumerate(figures):
        metrics = {"val_accuracy": accuracy, "val_loss": 0.1, "best_epoch": 3.0, "parameters": 9.0}
        training = Training(
            f"candidate-{GREY:05d}",
            "candidate",
            GREY,
            "cell",
            seed,
            "done",
            objectives={"error": 1 - accuracy, "deletion": 0.25},
            metrics=metrics,
            finished=f"2026-01-0{len(key)}",
        )
        (path / "results" / f"{training.name}.json").write_text(json.dumps(asdict(training)))
        keras.utils.set_random_seed(seed + 1)
        convolutional((8, 8, 1), "softmax").save(path / "models" / f"{training.name}.keras")


@pytest.mark.long
def test_what_was_retrained_the_seed_that_is_best_on_the_validation_part(tmp_path):
    run = made_run(tmp_path / "run", "grey", {GREY: convolutional((8, 8, 1), "softmax")})
    with pytest.raises(InputError, match="has not been retrained yet"):
        xt.export(run, retrained="latest")
    retrained(run, "3-epochs-a", [0.5, 0.9, 0.7])
    retrained(run, "30-epochs-b", [0.6])
    (folder,) = xt.export(run, out=tmp_path / "old", retrained="3-epochs-a", formats=["keras"])
    card = json.loads((folder / "card.json").read_text())
    assert folder.name == card["name"] == f"candidate-{GREY:05d}-seed-1" and card["seed"] == 1
    assert card["objectives"]["error"]["value"] == pytest.approx(0.1)
    assert card["training"]["epochs"] == 3 and card["retrained"]
    assert card["training"]["learning_rate"] == 0.25
    written = (folder / "README.md").read_text()
    assert "fully trained" in written and "Measured by the retraining, on validation" in written
    assert "validation images after retraining" in written and "compared candidates" not in written
    kept = run.path / "retrained/3-epochs-a/models" / f"candidate-{GREY:05d}-seed-1.keras"
    images = other_images((8, 8, 1)) / np.float32(255)
    written, source = (keras.models.load_model(f) for f in (folder / "model.keras", kept))
    np.testing.assert_array_equal(written(images), source(images))
    (newest,) = xt.export(run, out=tmp_path / "new", retrained="latest", formats=["keras"])
    assert newest.name.endswith("seed-0")
    with pytest.raises(InputError, match="did you mean '3-epochs-a'"):
        xt.export(run, retrained="3-epoch-a")
    with pytest.raises(InputError, match="has no candidate 77; allowed: 1 to"):
        xt.export(run, [77], retrained="latest")
    kept.unlink()
    with pytest.raises(InputError, match="seed 1, is missing"):
        xt.export(run, out=tmp_path / "gone", retrained="3-epochs-a")


def test_a_retraining_in_which_nothing_is_done_yet(tmp_path):
    run = made_run(tmp_path / "run", "grey", {GREY: convolutional((8, 8, 1), "softmax")})
    retrained(run, "3-epochs-a", [])
    for candidates in ([], [GREY]):
        with pytest.raises(InputError, match="no candidate with a finished training"):
            xt.export(run, candidates, retrained="latest")


def test_the_module_is_that_of_the_hypermodel_that_was_retrained(tmp_path):
    """Another module may register other layers under the same names."""
    words = ["space={hypermodel: first:Small}"]
    run = made_run(tmp_path / "run", "grey", {GREY: convolutional((8, 8, 1))}, *words)
    retrained(run, "3-epochs-a", [0.5], "space.hypermodel=second:Large")
    modules = [
        chosen.candidate.module
        for name in ("", "latest")
        for chosen in chosen_models(run, [GREY], name)
    ]
    assert modules == ["first", "second"]
