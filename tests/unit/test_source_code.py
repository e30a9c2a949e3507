"""A run is resumed only with the code that it was begun with."""

import importlib
import itertools
import subprocess
import sys
from types import SimpleNamespace

import pytest

from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution.code_changes import check_code, code_hashes, shared_hashes
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.result_cache import earlier_runs
from xnas_tf.execution.session import opened_session
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.objectives.similarity import class_weights
from xnas_tf.retraining.job import notes
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import open_database
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
    run = Run(folder)
    space = prepare(run.config, SingleProcess(), 1)[2]
    (note,) = notes(run, code_hashes(run.config, space))
    assert f"has changed since the search: {name}." in note


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


MEASURES = """
from xnas_tf.attribution.gradient_input import GradientInput
from xnas_tf.objectives.base import Objective, ObjectiveValue

class Map(GradientInput):
    pass

class Constant(Objective):
    name: str = "measures:Constant"

    def score(self, subject):
        return ObjectiveValue(0.25)
"""


@pytest.fixture
def measures(modules, tmp_path):
    """A configuration with a measure and a method of one's own, and a matrix in a file."""
    name = f"measures_{next(NUMBERS)}"
    file, matrix = tmp_path / f"{name}.py", tmp_path / "matrix.csv"
    file.write_text(MEASURES.replace("measures:", f"{name}:"))
    matrix.write_text("\n".join([",".join("1" * 10)] * 10))
    (tmp_path / "pretrained.h5").write_text("weights 1")
    weighted = "{name: introspectability, sources: [grad_cam], similarity: matrix.csv}"

    def config(*objectives, **more):
        options = "options: {weights: pretrained.h5, name: mine, other: '~nobody-here/x'}"
        words = [f"space={{hypermodel: '{modules[0].stem}:build', {options}}}", "dataset=digits"]
        words += [f"objectives=[{', '.join(objectives)}]"]
        return load_config(overrides=[*words, *(f"{key}={value}" for key, value in more.items())])

    own = f"{name}:Constant"
    method = f"{{name: sparseness, method: '{name}:Map'}}"
    weights = "parameters", tmp_path / "pretrained.h5"
    return config, {
        "own": (own, file),
        "method": (method, file),
        "matrix": (weighted, matrix),
        "weights": weights,
    }


@pytest.mark.parametrize("kind", ["own", "method", "matrix", "weights"])
def test_what_measures_depend_on_may_not_change(measures, tmp_path, kind):
    """Neither in a run nor between a run and one that reuses its results."""
    new_config, kinds = measures
    objective, file = kinds[kind]
    config = new_config("error", objective)
    space = SimpleNamespace(code=[])
    database = open_database(tmp_path / "run", config)
    context = SimpleNamespace(path="run", config=config, space=space, database=database)
    check_code(context)
    check_code(context)
    reusing = new_config("error", objective, **{"search.reuse": f"[{tmp_path / 'run'}]"})
    assert earlier_runs(reusing, tmp_path / "new", {})
    before = file.read_text()
    file.write_text(before.replace("1", "2").replace("0.25", "0.5").replace("pass", "steps = 3"))
    with pytest.raises(InputError, match=f"has changed since the run began: {file.name}"):
        check_code(context)
    with pytest.raises(InputError, match=f"not comparable:\n  {file.name} has changed"):
        earlier_runs(reusing, tmp_path / "new", {})
    file.write_text(before)
    check_code(context)
    database.close()


def test_ranks_compare_no_scripts(measures, modules):
    class OfScript(Introspectability):
        pass

    OfScript.__module__ = "__main__"
    new_config, kinds = measures
    config = new_config("error", kinds["matrix"][0], kinds["own"][0])
    space = SimpleNamespace(code=[OfScript])
    importlib.import_module(modules[0].stem)
    everything, shared = code_hashes(config, space), shared_hashes(config, space)
    name = "__main__.test_ranks_compare_no_scripts.<locals>.OfScript"
    assert name in everything and {*shared} == {*everything} - {name}
    files = {modules[0].stem, modules[1].stem, kinds["own"][1].stem}
    assert {*shared} == files | {"matrix.csv", "pretrained.h5"}


def test_a_matrix_is_read_again_for_another_search(tmp_path):
    """A notebook may search again after its user has edited the file."""
    file, classes = tmp_path / "matrix.csv", ("a", "b")
    file.write_text("0,1\n1,0")
    measure = Introspectability(similarity=str(file), min_images=2)
    measure.check(classes)
    assert class_weights(str(file), classes)[0, 1] == 1
    file.write_text("0,3\n3,0")
    assert class_weights(str(file), classes)[0, 1] == 1  # it stays the same during a search
    measure.check(classes)
    assert class_weights(str(file), classes)[0, 1] == 3


SCRIPT = """
import json
from xnas_tf.utils.source_code import file_of, source_hashes
WIDTHS, EPOCHS = [4, 8], 3

def sums(values):
    return sum(values)

RULES, PAIR = {"sum": [sums]}, {1, 2}

def units(hp):
    return hp.Choice("units", WIDTHS)

class Mine:
    bias = True

    def build(self, hp):
        RULES, PAIR
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
        assert {*found} >= {"__main__.Mine", "__main__.units"} and {*files} == {"script.py"}
        return found

    first = hashes()
    assert hashes("# no network", "") == first == hashes("[4, 8], 3", "[4, 8], 5")
    assert len(first) == 3
    for change in (
        ("[4, 8]", "[4]"),
        ("range(2)", "range(3)"),
        ("bias = True", "bias = False"),
        ("return sum(", "return max("),
        ("[sums]", "[sums, sums]"),
        ("{1, 2}", "{1, 3}"),
    ):
        assert hashes(*change) != first
    with_name = hashes('"units"', '"width"')
    assert with_name["__main__.Mine"] == first["__main__.Mine"]
    assert with_name["__main__.units"] != first["__main__.units"]


def test_libraries_do_not_count_unless_they_are_named():
    from click import Command  # noqa: PLC0415

    assert source_hashes([dict, len, Command])
    assert not source_hashes([dict, len])
    assert file_of("click").endswith("__init__.py")
