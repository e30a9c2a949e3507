"""A run is resumed only with the code that it was begun with."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import pytest

from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.session import opened_session
from xnas_tf.retraining.job import _Job
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import Run
from xnas_tf.utils.source_code import file_of, source_hashes

HYPERMODEL = """
import keras
from {blocks} import units

def build(hp):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(units(hp), use_bias=False)(x)  # hidden
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
"""
BLOCKS = 'def units(hp):\n    return hp.Choice("units", [4, 8])\n'
NUMBERS = itertools.count()


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """The files of a HyperModel and of a module that it imports, which no test had imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    number = next(NUMBERS)
    mine, blocks = (tmp_path / f"{name}_{number}.py" for name in ("mine", "blocks"))
    mine.write_text(HYPERMODEL.format(blocks=blocks.stem))
    blocks.write_text(BLOCKS)
    return mine, blocks


def begin(modules, folder):
    space = f"space={{hypermodel: '{modules[0].stem}:build'}}"
    config = load_config(overrides=["dataset=digits", space, "objectives=[error, parameters]"])
    with opened_session(folder, config, *prepare(config, SingleProcess(), 1)[1:]):
        pass


def retraining_warns(folder, name):
    run, said = Run(folder), []
    space = prepare(run.config, SingleProcess(), 1)[2]
    settings = SimpleNamespace(config=run.config)
    _Job(run, settings, [], 1, False, False, said.append)._check_code(space)
    assert f"has changed since the search: {name}." in said[0]


@pytest.mark.parametrize("changed", [0, 1])
def test_changed_code_is_refused_with_the_file(modules, tmp_path, changed):
    begin(modules, tmp_path / "run")
    file = modules[changed]
    before = file.read_text()
    file.write_text(before.replace("use_bias=False", "use_bias=True").replace("[4, 8]", "[4]"))
    with pytest.raises(InputError, match=rf"run has changed .*: {file.name}\. Undo .* `fresh`"):
        begin(modules, tmp_path / "run")
    retraining_warns(tmp_path / "run", file.name)
    file.write_text("# another comment\n" + before.replace("# hidden", "").replace(", ", ",  "))
    begin(modules, tmp_path / "run")


def test_a_run_of_a_version_without_hashes_is_resumed_and_gets_them(modules, tmp_path):
    begin(modules, tmp_path / "run")
    database = Database(tmp_path / "run" / "run.sqlite", create=True)
    known = database.fact("code")
    assert {*known} == {file.stem for file in modules}
    database.set_fact("code", None)
    modules[1].write_text("WIDTH = 3\n" + BLOCKS)
    begin(modules, tmp_path / "run")
    assert {name for name, value in database.fact("code").items() if known[name] != value} == {
        modules[1].stem
    }
    database.close()


SCRIPT = """
import json
from xnas_tf.utils.source_code import file_of, source_hashes
WIDTHS, EPOCHS = [4, 8], 3

def units(hp):
    return hp.Choice("units", WIDTHS)

class Mine:
    bias = True

    def build(self, hp):
        return [units(hp) for _ in range(2)]  # no network

hashes = source_hashes(Mine.__mro__)
print(json.dumps([hashes, [file_of(name) for name in hashes]]))
"""


def test_of_a_script_only_what_the_hypermodel_uses_counts(tmp_path):
    def hashes(old="", new=""):
        (tmp_path / "script.py").write_text(SCRIPT.replace(old, new))
        run = [sys.executable, "script.py"]
        said = subprocess.run(run, cwd=tmp_path, capture_output=True, check=True).stdout
        found, files = eval(said.splitlines()[-1])  # noqa: S307 - lists and texts
        assert {*found} == {"__main__.Mine", "__main__.units"} and {*files} == {"script.py"}
        return found

    first = hashes()
    assert hashes("# no network", "") == first == hashes("[4, 8], 3", "[4, 8], 5")
    for change in (("[4, 8]", "[4]"), ("range(2)", "range(3)"), ("bias = True", "bias = False")):
        assert hashes(*change) != first
    with_name = hashes('"units"', '"width"')
    assert with_name["__main__.Mine"] == first["__main__.Mine"]
    assert with_name["__main__.units"] != first["__main__.units"]


def test_libraries_do_not_count_unless_they_are_named():
    from click import Command  # noqa: PLC0415

    assert source_hashes([dict, len, Command])
    assert not source_hashes([dict, len])
    assert file_of("click").endswith("__init__.py")
