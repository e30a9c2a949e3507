"""What a search made is opened by other processes, from places of any name and any terminal."""

import subprocess

import pytest

import xnas_tf as xt
from tests.e2e.conftest import environment, xnas
from tests.e2e.test_durability import done

pytestmark = pytest.mark.long

NETWORKS = """
import keras

@keras.saving.register_keras_serializable("own")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build(hp):
    x = inputs = keras.Input((8, 8, 1))
    x = Doubled(name="twice: 2×")(x)
    x = keras.layers.Conv2D(hp.Choice("filters", [4, 8]), 3, name="Conv 1: 3×3")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, "softmax")(x), name="my model #1")
"""
CONFIG = """
dataset: digits
space: {hypermodel: "own_networks:build"}
objectives: [error, parameters]
training: {epochs: 1, batch_size: 64}
search: {candidates: 2, population: 2}
"""


@pytest.mark.parametrize("reader", ["head -0", "cat > table.txt"])
def test_a_search_with_odd_names_is_opened_by_later_commands(tmp_path, reader):
    folder = tmp_path / "my data [v1] ä %s"
    folder.mkdir()
    (folder / "own_networks.py").write_text(NETWORKS)
    (folder / "my config (1).yaml").write_text(CONFIG)
    found = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"xnas-tf search 'my config (1).yaml' | {reader}"],
        cwd=folder,
        env=environment() | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    run = folder / "runs" / "my config (1)"
    assert len(done(run)) == 2
    if "table" not in reader:
        return
    assert "error v" in (folder / "table.txt").read_text("ascii")
    assert "Conv_1_3_3 here" in found.stderr
    command = next(line for line in found.stderr.splitlines() if "xnas-tf export" in line)
    exported = subprocess.run(
        ["sh", "-c", f"{command} --out 'out [1] %d'"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert exported.returncode == 0, exported.stderr
    (model,) = (folder / "out [1] %d").iterdir()
    xnas("explain", model, "--dataset", "digits", "--count", "2", cwd=folder)
    xnas("explain", run, "--count", "2", cwd=folder)
    xnas("report", run, cwd=folder)
    assert "could not be examined" not in (run / "report.html").read_text("utf-8")


CODE_IN_SOME = """
import keras

def build(hp):
    x = inputs = keras.Input((8, 8, 1))
    filters = 4
    if hp.Choice("kind", ["plain", "code"]) == "code":
        x, filters = keras.layers.Lambda(lambda image: 2 * image)(x), 2
    x = keras.layers.Flatten()(keras.layers.Conv2D(filters, 3)(x))
    return keras.Model(inputs, keras.layers.Dense(10, "softmax")(x))
"""


def test_models_with_code_are_tested_where_the_default_model_has_none(tmp_path):
    """The search runs this code anyway; other commands need ``--unsafe``."""
    (tmp_path / "own_networks.py").write_text(CODE_IN_SOME)
    (tmp_path / "c.yaml").write_text(CONFIG)
    searched = xnas("search", "c.yaml", "--run-dir", "run", cwd=tmp_path)
    assert "was not tested" not in searched.stderr
    (small,) = [c for c in xt.load_run(tmp_path / "run").pareto() if c.genotype.count("code")]
    assert 0 <= small.metrics["test_accuracy"] <= 1
    words = ["explain", "run", "--candidate", str(small.id), "--method", "gradient_input"]
    refused = xnas(*words, cwd=tmp_path, code=2)
    assert "--unsafe" in refused.stderr
