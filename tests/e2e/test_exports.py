"""Exports as they are used: where xnas-tf is not, by the commands of their cards."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import xnas_tf as xt
from tests.e2e.conftest import BIN, environment, xnas

ELSEWHERE = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("xnas_tf", "keras_tuner", "tf_explain"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
"""
FORMATS = ("saved_model", "keras", "tflite", "onnx")


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """The folder of the best candidate in all formats, and what was said meanwhile."""
    run, _ = finished
    out = tmp_path_factory.mktemp("exports")
    best = xt.load_run(run).best.id
    words = [word for name in FORMATS for word in ("--format", name)]
    done = xnas("export", run, "--candidate", best, "--out", out, *words, cwd=out)
    (folder,) = out.iterdir()
    assert done.stdout.split() == [str(folder)]
    return folder, done.stderr


def blocks(folder, language):
    """The code in a card."""
    return re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def test_what_was_verified_is_said(exported):
    _, told = exported
    for name in FORMATS:
        assert re.search(rf"candidate-\d+: {name} differs by \S+; allowed: 1e-0[45]", told)
    assert "tf_tfl_flatbuffer" not in told and "Warning" not in told


def test_the_card_has_what_the_search_measured_on_the_test_split(finished, exported):
    run, (folder, told) = xt.load_run(finished[0]), exported
    test = json.loads((folder / "card.json").read_text())["test"]
    assert test["accuracy"][1] == run.best.metrics["test_accuracy"]
    assert test == run.fact(f"test figures of {folder.name}")["figures"]
    assert "measuring the model" not in told


def test_python_of_the_card_runs_without_xnas_tf(exported):
    folder, _ = exported
    code = ELSEWHERE + "\n".join(blocks(folder, "python"))
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    said = done.stdout.decode()
    assert "'grad_cam': TensorShape([2, 8, 8])" in said
    assert "'integrated_gradients': TensorShape([2, 8, 8])" in said
    request = json.loads((folder / "request.json").read_text())
    assert request["signature_name"] == "explain" and len(request["instances"]) == 2
    assert np.array(request["instances"][0]["images"]).shape == (8, 8, 1)


@pytest.mark.long
def test_saved_model_cli_shows_both_signatures_and_runs_them(exported):
    folder, _ = exported
    words = dict(cwd=folder, env=environment(), text=True)
    np.save(folder / "images.npy", np.zeros((2, 8, 8, 1), np.uint8))
    assert (BIN / "saved_model_cli").is_file()
    (commands,) = blocks(folder, "sh")
    done = subprocess.run(["bash", "-ec", commands], capture_output=True, **words)
    assert done.returncode == 0, done.stderr
    assert "inputs['class_index']" in done.stdout and "outputs['grad_cam']" in done.stdout
    assert "Result for output key probabilities" in done.stdout
    assert np.load(folder / "explained" / "integrated_gradients.npy").shape == (2, 8, 8)
    show = ["saved_model_cli", "show", "--dir", "1", "--tag_set", "serve"]
    listed = subprocess.run(show, capture_output=True, **words).stdout
    assert '"serving_default"' in listed and '"explain"' in listed


def test_the_front_is_one_flag_and_never_exported_twice(finished, tmp_path):
    run, _ = finished
    out = tmp_path / "served"
    folders = xnas("export", run, "--pareto", "--out", out, cwd=tmp_path).stdout.split()
    assert len(folders) == len(xt.load_run(run).pareto())
    again = xnas("export", run, "--pareto", "--out", out, cwd=tmp_path, code=2)
    assert "nothing was exported" in again.stderr
    for folder in folders:
        card = json.loads(open(f"{folder}/card.json").read())
        assert card["dataset"]["class_names"] == list("0123456789")
        assert {"candidate", "genotype", "objectives", "versions", "test", "limits"} <= set(card)
        assert [file["format"] for file in card["files"]] == ["saved_model", "keras"]


def test_bad_input_ends_with_2(finished, tmp_path):
    run, _ = finished
    done = xnas("export", run, "--candidate", 99, cwd=tmp_path, code=2)
    assert "no candidate 99; allowed: 1 to 4" in done.stderr
    done = xnas("export", run, "--format", "tflight", cwd=tmp_path, code=2)
    assert "unknown export format 'tflight' (did you mean 'tflite'?" in done.stderr
