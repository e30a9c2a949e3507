"""xnas-tf explain, as users run it."""

import json
import shutil

import keras
import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner

import xnas_tf as xt
from tests.e2e.conftest import xnas
from xnas_tf.cli import main


def explain(run, *words, code=0, cwd=None):
    return xnas("explain", run, *words, cwd=cwd or run, code=code)


def test_a_run_is_explained_beside_itself(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    done = explain(run, "--count", 3, "--method", "all", "--target", "true")
    best = xt.load_run(run).best
    folder = run / "explanations" / f"candidate-{best.id:05d}"
    assert "quality of the explanations" in done.stdout and str(folder) in done.stderr
    names = {path.name for path in folder.iterdir()}
    pictures = {"overlays", "overview-1.png", "tensorboard"}
    assert names == {"explanation.json", "index.html", "maps.npz", *pictures}
    assert len(list((folder / "overlays").glob("*.png"))) == 3 * 6
    facts = json.loads((folder / "explanation.json").read_text())
    assert [image["explained"] for image in facts["images"]] == [
        image["label"] for image in facts["images"]
    ]
    with np.load(folder / "maps.npz") as maps:
        assert maps["integrated_gradients"].shape == (3, 8, 8)
        assert set(facts["methods"]) <= set(maps.files)
    for method in facts["methods"].values():
        assert all(np.isfinite(figure["mean"]) for figure in method["quality"].values())
    picture = np.asarray(PIL.Image.open(folder / "overview-1.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    again = explain(run, "--count", 1, code=2)
    assert "already exists and was not touched" in again.stderr
    elsewhere = explain(run, "--count", 1, "--format", "json", "--out", tmp_path / "new")
    assert set(json.loads(elsewhere.stdout)["methods"]) == {"grad_cam", "integrated_gradients"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Keras model of its own, and two image files of other sizes than its input."""
    folder = tmp_path_factory.mktemp("model")
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, outputs).save(folder / "model.keras")
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (20, 24), dtype=np.uint8)
        PIL.Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def test_a_keras_file_and_image_files(model):
    words = ["--images", "0.png", "1.png", "--target", "2", "--set", "grad_cam.layer=conv"]
    explain("model.keras", *words, "--out", "found", cwd=model)
    facts = json.loads((model / "found" / "explanation.json").read_text())
    assert [image["explained"] for image in facts["images"]] == ["2", "2"]
    assert facts["images"][0]["label"] is None
    assert facts["methods"]["grad_cam"]["options"]["layer"] == "conv"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["model.keras"], "give --images FILE… or --dataset NAME"),
        (["model.kers", "--dataset", "digits"], "model.kers does not exist"),
        (["model.keras", "--candidate", "3"], "model.keras is not a run"),
        (["model.keras", "--candidate", "recommended"], "model.keras is not a run"),
        (["model.keras", "--candidate", "beste"], "did you mean 'best'"),
        (["model.keras", "--dataset", "digits"], "10 given, but the model has 3 classes"),
        (["model.keras", "--images", "no.png"], "image no.png cannot be read"),
        (["model.keras", "--images", "model.keras"], "image model.keras cannot be read"),
        (["model.keras", "--images", "0.png", "--method", "gradcam"], "did you mean 'grad_cam'"),
        (["model.keras", "--images", "0.png", "--target", "7"], "--target: no class '7'"),
        (["model.keras", "--images", "0.png", "--target", "true"], "are not known"),
        (["model.keras", "--images", "0.png", "--set", "grad_cam.layr=1"], "did you mean 'layer'"),
        (["model.keras", "--images", "0.png", "--set", "grad_cam.layer=cnv"], "'conv'"),
        (["model.keras", "--images", "0.png", "--set", "occlusion.patch=1"], "no chosen method"),
        (["0.png", "--images", "0.png"], "0.png cannot be loaded in safe mode"),
    ],
)
def test_what_is_wrong_is_said(model, words, problem, monkeypatch):
    monkeypatch.chdir(model)
    # In this process: fifteen new ones would import TensorFlow for four seconds each.
    done = CliRunner().invoke(main, ["explain", *words, "--out", "never"])
    assert done.exit_code == 2
    assert problem in " ".join(done.stderr.split())
    assert not (model / "never").exists()
