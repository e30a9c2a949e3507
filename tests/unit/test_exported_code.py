"""The code of an export is imported only if the user trusts it, and from the export's folder."""

import json
import sys

import keras
import pytest
from click.testing import CliRunner

from xnas_tf.cli import main
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import load_subject

LAYER = """
import keras
from pathlib import Path

Path(__file__).with_suffix(".ran").touch()

@keras.saving.register_keras_serializable("test_exported_code")
class Gate(keras.layers.Layer):
    def call(self, inputs):
        return inputs * {factor}
"""
MODULE = "gates_of_exports"


@pytest.fixture
def export(tmp_path, monkeypatch):
    """An export with a model that needs the code beside it, in a process without this code."""
    folder = tmp_path / "exp1"
    folder.mkdir()
    file = folder / f"{MODULE}.py"
    file.write_text(LAYER.format(factor=3.0))
    found = {}
    exec(LAYER.format(factor=3.0), {"__name__": MODULE, "__file__": str(file)}, found)  # noqa: S102
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(found["Gate"]()(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(folder / "model.keras")
    card = {"candidate": 1, "genotype": "", "hypermodel_module": MODULE}
    (folder / "card.json").write_text(json.dumps(card))
    file.with_suffix(".ran").unlink()
    forget()
    monkeypatch.chdir(tmp_path)
    yield folder
    forget()


def forget():
    sys.modules.pop(MODULE, None)
    keras.saving.get_custom_objects().pop("test_exported_code>Gate", None)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_code_is_not_imported_without_consent(export, monkeypatch, where):
    if where == "here":
        monkeypatch.chdir(export)
    with pytest.raises(InputError) as raised:
        load_subject(export)
    assert str(raised.value) == (
        f"{export}/model.keras cannot be loaded in safe mode: it needs the class Gate, which "
        f"{export / MODULE}.py should define. This code is imported only with --unsafe (in Python: "
        "safe=False), because it could do anything: read it first"
    )
    assert not (export / f"{MODULE}.ran").exists() and MODULE not in sys.modules


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_code_is_imported_from_the_folder_of_the_export(export, tmp_path, monkeypatch, where):
    (tmp_path / f"{MODULE}.py").write_text(LAYER.format(factor=5.0))  # not this one
    if where == "here":
        monkeypatch.chdir(export)
    before = list(sys.path)
    model = load_subject(export, safe=False).model
    assert float(model.layers[1](keras.ops.ones(()))) == 3.0
    assert sys.modules[MODULE].__file__ == str(export / f"{MODULE}.py")
    assert str(export) not in {*sys.path} - {*before}


def test_two_exports_with_different_code_are_not_mixed(export, tmp_path):
    load_subject(export, safe=False)
    other = tmp_path / "exp2"
    other.mkdir()
    for file in export.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    load_subject(other, safe=False)  # the same code
    (other / f"{MODULE}.py").write_text(LAYER.format(factor=5.0))
    with pytest.raises(InputError, match=f"another module {MODULE} was imported from .*exp1"):
        load_subject(other, safe=False)


def test_a_card_without_a_module_or_layers_needs_no_consent(export):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(export / "model.keras")
    assert load_subject(export).model.output_shape == (None, 2)
    assert MODULE not in sys.modules


def test_another_fault_is_not_blamed_on_the_code(export):
    (export / "model.keras").write_bytes(b"spoilt")
    with pytest.raises(InputError) as raised:
        load_subject(export)
    assert "--unsafe" not in str(raised.value)


def test_the_command_line_says_so(export):
    words = ["explain", "exp1", "--dataset", "digits", "--out", "o"]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(main, words)
    assert done.exit_code == 2 and "--unsafe" in done.stderr and "Traceback" not in done.stderr
    assert not (export / f"{MODULE}.ran").exists()
