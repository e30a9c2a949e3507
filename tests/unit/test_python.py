"""Runs and results in Python and notebooks: tables, figures, HTML, and what is said of mistakes."""

import csv
import io
import json
import sys
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser

import click
import keras
import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner

import xnas_tf as xt
from tests.unit.test_benchmark import ROWS, write
from tests.unit.test_front import ONE, THREE, TWO, candidates
from xnas_tf.attribution import attribution_method
from xnas_tf.cli import main
from xnas_tf.cli.group import with_options
from xnas_tf.config import load_config
from xnas_tf.exporting.selection import chosen_models as export_choice
from xnas_tf.figures import importance
from xnas_tf.figures.progress import history_figure
from xnas_tf.interpretation.drawing import new_figure, set_title
from xnas_tf.reporting import candidate_tables as tables
from xnas_tf.reporting.html.models import chosen_models as report_choice
from xnas_tf.storage.run_directory import model_path, open_database
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.number_format import setting_text, shortened

MARKUP = "<script>alert(1)</script>"
IMAGES = 80


def make_run(path, config=TWO, count=24):
    """A run of made-up candidates, every fifth of which failed."""
    rng = np.random.default_rng(0)
    found = candidates(
        config, rng.integers(1, IMAGES // 2, (count, len(config.objectives))) / IMAGES
    )
    with closing(open_database(path, config)) as record:
        record.set_fact("validation", [IMAGES // 2, IMAGES // 2])
        for each in found:
            each.hyperparameters = {"blocks": int(rng.integers(1, 5)), "kind": MARKUP}
            if each.hyperparameters["blocks"] > 2:
                each.hyperparameters["rate"] = each.id / 100
            each.genotype, each.finish_order = f"{MARKUP}{each.id}", each.id
            each.seconds, each.parents, each.epochs = {"train": 2.0}, (1, 2), 3
            each.metrics = {"val_accuracy": 1 - each.objectives["error"], "state": 0.5}
            each.metrics["introspectability/standard_error"] = 0.01
            if each.id % 5 == 0:
                each.state, each.reason, each.objectives, each.metrics = "failed", MARKUP, {}, {}
            record.save(each)
    return xt.load_run(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "made-up")


def test_candidates_by_id(run, tmp_path):
    assert len(run) == 24 and run[4].id == 4 and [c.id for c in run] == [*range(1, 25)]
    assert 4 in run and run[4] in run and 25 not in run
    for unknown in (25, "4", slice(1, 3)):
        with pytest.raises(xt.InputError, match="no candidate .*; allowed: 1 to 24"):
            run[unknown]
    assert [c.id for c in run.choose_all(run[4])] == [4] == [run.choose(run[4]).id]
    for other in ({"genotype": "other"}, {"finished": "2020-01-01T00:00:00.000+00:00"}):
        with pytest.raises(xt.InputError, match="`candidate` 4 is from another run than .*made-up"):
            run.choose(replace(run[4], **other))
    empty = make_run(tmp_path / "empty", count=0)
    assert empty and len(empty) == 0
    with pytest.raises(xt.InputError, match="no Pareto-optimal candidates to draw"):
        empty.plot_front()
    assert "none" in empty._repr_html_() and empty.to_dataframe().empty


def test_a_data_frame_has_every_candidate_in_every_state(run):
    frame = run.to_dataframe().set_index("id")
    assert list(frame.index) == [c.id for c in run]
    assert frame.index[frame.pareto].tolist() == sorted(c.id for c in run.pareto())
    assert frame.index[frame.recommended].tolist() == [run.best.id]
    for each in run:
        row = frame.loc[each.id].dropna()
        assert (row["state"], row["reason"], row["seconds/total"]) == (each.state, each.reason, 2.0)
        prefix = "hyperparameters/"
        chosen = {n.removeprefix(prefix): v for n, v in row.items() if n.startswith(prefix)}
        assert chosen == each.hyperparameters
        assert {n: row[n] for n in TWO.directions if n in row} == each.objectives
        assert row.get("metrics/state") == each.metrics.get("state")  # not in place of the state


def test_ids_of_a_data_frame_name_candidates(run):
    ids = run.to_dataframe().id
    one, some = ids.iloc[3], ids[ids > 21]
    assert [c.id for c in run.choose_all(one)] == [4] == [run[one].id]
    assert [c.id for c in run.choose_all(some)] == [22, 23, 24]
    assert [c.name for c in export_choice(run, some, "")] == [f"candidate-000{i}" for i in some]
    assert [c.id for c in report_choice(run, run.snapshot(), some.to_numpy(), 8)] == list(some)
    with pytest.raises(xt.InputError, match="`candidates` is of type float; allowed: an id, "):
        run.choose_all(4.5)


def test_csv_of_all_has_the_columns_and_rows_of_the_data_frame(run):
    listed = tables.listing(run, everyone=True)
    rows = [*csv.DictReader(io.StringIO(tables.pareto_csv(listed, any_state=True)))]
    frame = run.to_dataframe()
    assert [*rows[0]] == [*frame.columns]
    assert sorted(int(row["id"]) for row in rows) == frame["id"].tolist()
    assert {row["state"] for row in rows} == {"done", "failed"}
    done = csv.DictReader(io.StringIO(tables.pareto_csv(listed)))
    assert {row["state"] for row in done} == {"done"}


def test_a_missing_pandas_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(xt.InputError, match="to_dataframe needs pandas.*pip install pandas"):
        run.to_dataframe()


class Elements(HTMLParser):
    """The names of all elements, and the text of the bold row."""

    def __init__(self, text):
        super().__init__()
        self.names, self.bold, self._row = set(), [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        if tag == "tr":
            self._row = bool(attributes)

    def handle_data(self, data):
        if self._row:
            self.bold.append(data)


def test_html_marks_the_recommended_and_escapes_all_text(run):
    shown = run._repr_html_()
    found = Elements(shown)
    assert found.bold[0] == str(run.best.id) and "24 candidates" in shown
    assert run.recommendation().why.partition(";")[0] in shown
    for each in (found, Elements(run[1]._repr_html_()), Elements(run[5]._repr_html_())):
        assert "table" in each.names and "script" not in each.names
    assert repr(run) == f"Run(path={run.path})" and len(repr(run[1])) < 200


@pytest.mark.parametrize("config", [ONE, THREE], ids=["1", "3"])
def test_every_figure_has_a_title_and_directions(config, tmp_path):
    run = make_run(tmp_path / "run", config)
    for plot in (run.plot_front, run.plot_history, run.plot_parallel):
        figure = plot()
        assert "(run)" in figure.get_suptitle()
        axes = figure.axes
        labels = [a.get_xlabel() + a.get_ylabel() for a in axes]
        labels += [tick.get_text() for a in axes for tick in a.get_xticklabels()]
        for objective in config.objectives:
            arrow = "↓" if objective.direction == "minimize" else "↑"
            assert any(f"{objective.name} {arrow}" in label for label in labels), plot
    assert run.plot_front()._repr_png_().startswith(b"\x89PNG")
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize(
    ("config", "population", "panels"),
    [(ONE, 3, 1), (TWO, 3, 3), (TWO, 9, 2)],
    ids=["one objective", "known", "not known yet"],
)
def test_a_hypervolume_that_shows_nothing_has_no_panel(config, population, panels):
    config, objectives = load_config(config, [f"search.population={population}"]), config.objectives
    found = candidates(config, np.eye(3)[:, : len(objectives)])
    for each in found:
        each.finish_order = each.id
    axes = history_figure(found, config).axes
    assert len(axes) == panels and axes[-1].get_xlabel() == "trainings"
    assert all(float(tick).is_integer() for tick in axes[-1].get_xticks())
    volumes = [a for a in axes if "hypervolume" in a.get_ylabel()]
    assert len(volumes) == panels - len(objectives)
    assert all(a.lines[0].get_marker() == "." for a in volumes)  # or one value would not be seen


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0065053435862201265, "0.00651"), (1e-05, "1e-05"), (16, "16"), ("a", "a")],
)
def test_settings_have_three_digits(value, text):
    assert setting_text(value) == text
    genotype = json.dumps({"filters": 123456, "rate": value, "version": "1.23456.7"})
    expected = f'"{text}"' if isinstance(value, str) else text
    assert f'"rate": {expected}, "version": "1.23456.7"' in shortened(genotype)
    assert "123456" in shortened(genotype)


def test_importance_names_the_objectives_and_what_is_too_little(run, tmp_path, monkeypatch):
    monkeypatch.setattr(importance, "RESAMPLES", 3)
    titles = [axis.get_title(loc="left") for axis in run.plot_importance().axes]
    assert [title.partition(":")[0] for title in titles] == ["error ↓", "introspectability ↑"]
    with pytest.raises(xt.InputError, match="few: too few candidates with results"):
        make_run(tmp_path / "few", count=9).plot_importance()


def test_the_bars_of_a_front_are_intervals(run):
    (axis,) = run.plot_front().axes
    across, up = (np.array(each.get_segments()) for each in axis.collections[1:])
    front = sorted(run.pareto(), key=lambda c: c.objectives["error"])
    for bar, above, each in zip(across, up, front, strict=True):
        error, value = each.objectives["error"], each.objectives["introspectability"]
        low, _, high = accuracy_interval((1 - error) * IMAGES, IMAGES)
        np.testing.assert_allclose(bar, [[1 - high, value], [1 - low, value]])
        np.testing.assert_allclose(above[:, 1] - value, [-0.0196, 0.0196], atol=1e-5)


@pytest.mark.parametrize("width", [2.6, 6.0])
def test_a_long_title_fits(width):
    figure = new_figure(width, 2.5)
    set_title(figure, "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1| and accuracy 85.33% of it " * 3)
    figure._repr_png_()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


FLAT = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
ZEROS = np.zeros((2, 8, 8, 1), np.float32)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: xt.load_run(3), "`run` is of type int; allowed: a path, a Run"),
        (lambda: xt.export(None), "`run` is of type NoneType"),
        (lambda: xt.save_report(3), "`run` is of type int"),
        (lambda: xt.retrain(3), "`run` is of type int"),
        (
            lambda: xt.search({"training": {}}),
            "`config` is of type dict; allowed: a path, or a Config",
        ),
        (lambda: xt.search(ZEROS, ZEROS), r"`config` is of type ndarray; .*see xt.Tuner\(hyper"),
        (lambda: xt.search(dataset="digits"), "`dataset`: search.. has no argument 'dataset' "),
        (lambda: xt.disentangle(), "disentangle..: missing a required argument: 'model'"),
        (lambda: xt.init(folders="a"), "'folders' .did you mean 'folder'"),
        (lambda: xt.explain(FLAT, ZEROS, method=[]), "'method' .did you mean 'methods'"),
        (lambda: xt.disentangle(FLAT, "digits", epoch=3), "'epoch' .did you mean 'epochs'"),
        (lambda: xt.train_interpreter(FLAT, "digits", epoch=3), "'epoch' .did you mean 'epochs'"),
        (lambda: xt.train_interpreter(FLAT, "digits", epochs="4"), "`epochs` '4': allowed"),
        (lambda: xt.save_report(runs=[]), "'runs' .did you mean 'run'"),
        (lambda: xt.save_report(), "missing a required argument: 'run'; its arguments: run, out"),
        (lambda: xt.Config(epochs=3), "unknown key epochs: .*did you mean training.epochs"),
        (lambda: xt.Config(dataset={"epochs": 3}), "dataset.epochs: .*mean training.epochs"),
        (lambda: xt.inspect_data(3), "`dataset` is of type int"),
        (lambda: xt.search(run_dir=3), "`run_dir` is of type int; allowed: a path"),
        (
            lambda: xt.search(overrides="a=3"),
            r"`overrides` is of type str; .*\['a=3'\]",
        ),
        (lambda: xt.load_config(overrides=[3]), "`overrides`: one item is of type int"),
        (lambda: xt.inspect_data("digits", 3), "`overrides` is of type int"),
        (lambda: xt.Run(3), "`path` is of type int; allowed: a path"),
        (lambda: xt.Retraining(None), "`path` is of type NoneType"),
        (lambda: xt.retrain("nothing"), "nothing is not a run: it does not exist"),
        (
            lambda: xt.retrain("nothing", seeds="a"),
            "`seeds` is of type str; allowed: a whole",
        ),
        (lambda: xt.retrain("nothing", epochs=2.5), "`epochs` is of type float"),
        (lambda: xt.retrainings(3), "`run` is of type int"),
        (lambda: xt.export("runs/x"), "runs/x is not a run"),
        (lambda: xt.export("runs/x", formats="keras"), r"`formats` is of type str; .*\['keras'\]"),
        (lambda: xt.export("runs/x", out=3), "`out` is of type int"),
        (
            lambda: xt.export(xt.Candidate(1, "g", {})),
            "a Run; name a candidate with its run",
        ),
        (lambda: xt.save_report("runs/x", models="a"), "`models` is of type str"),
        (
            lambda: xt.save_report("runs/x", within="a"),
            "`within` is of type str",
        ),
        (lambda: xt.explain(3), "`model` is of type int; allowed: a Keras model, a Run, a Cand"),
        (lambda: xt.explain(FLAT, "a"), "`images` are a str; allowed: .N, H, W. or"),
        (lambda: xt.explain(FLAT, ZEROS.astype(object)), "`images` are of type object; allowed"),
        (lambda: xt.explain(FLAT, ZEROS, "occlusion"), "`methods` is of type str; allowed: a list"),
        (lambda: xt.explain(FLAT, ZEROS, [3]), "`methods`: one is of type int"),
        (lambda: xt.explain(FLAT, ZEROS, ["json:JSONEncoder"]), "is not a subclass of"),
        (lambda: xt.explain(FLAT, ZEROS, labels=3), r"`labels` are of shape \(\); .*each of the 2"),
        (lambda: xt.explain(FLAT, ZEROS, class_names=3), "`class_names` is of type int"),
        (lambda: xt.explain(FLAT, ZEROS, class_names="a"), "`class_names` is of type str"),
        (lambda: xt.explain(FLAT, ZEROS, class_names=["a"]), "`class_names`: 1 given, but"),
        (lambda: xt.explain(FLAT, ZEROS, labels=["0", "x"]), "`labels`: no class 'x' .allowed: 0"),
        (lambda: xt.explain(FLAT, ZEROS, labels=[0, -1]), "`labels`: no class -1; allowed: 0 to"),
        (lambda: xt.explain(FLAT, ZEROS, targets="x"), "`targets`: no class 'x'"),
        (
            lambda: xt.explain(FLAT, ZEROS, targets=[0, 1, 0]),
            r"`targets` are of shape \(3,\); .*each of the 2",
        ),
        (lambda: xt.explain(FLAT, ZEROS, mistakes=True), "`mistakes`: given with `images`"),
        (lambda: xt.disentangle(3), "`model` is of type int"),
        (lambda: xt.disentangle(FLAT, 3), "`dataset` is of type int; allowed: a name"),
        (lambda: xt.disentangle(FLAT, "digits", classes=3), "`classes` is of type int"),
        (lambda: xt.disentangle(FLAT, "digits", epochs="a"), "`epochs` is of type str"),
        (lambda: xt.train_interpreter(3), "`model` is of type int"),
        (lambda: xt.train_interpreter(FLAT, 3), "`dataset` is of type int"),
        (lambda: xt.train_interpreter(FLAT, "digits", layers=3), "`layers` is of type int"),
        (lambda: xt.Interpreter(3), "`model` is of type int"),
        (lambda: xt.load_dataset(3), "`name` is of type int; allowed: a text"),
        (lambda: xt.load_dataset("digits", validation="a"), "`validation` is of type str"),
        (lambda: xt.load_dataset("digits", size=[3]), r"`size` \[3\]; allowed: pixels"),
        (lambda: xt.load_dataset("digits", size=0), "`size` 0; allowed: pixels"),
        (lambda: xt.load_dataset("digits", size=8.0), "`size` 8.0; allowed: pixels"),
        (lambda: xt.load_dataset("digits", channels=7), "`channels` 7; allowed: 1 or 3"),
        (lambda: xt.Tuner(3), "`hypermodel` is of type int"),
        (lambda: xt.Config(dataset=3), "dataset: given 3"),
        (lambda: xt.Config(space={"channels": 4}), "space: given .*without a name; .*vgg_like"),
        (lambda: xt.explain(keras.Sequential()), "`images`: none are given"),
        (lambda: xt.disentangle(keras.Sequential()), "`dataset`: none is given"),
        (lambda: xt.Config(training={"epoch": 3}), "training.epoch: .*did you mean 'epochs'"),
        (lambda: xt.Config(trainin={}), "unknown key trainin: .*did you mean 'training'"),
        (
            lambda: load_config(None, ["training.epoch=3"]),
            "`overrides` training.epoch=3: .*'epochs'",
        ),
    ],
)
def test_arguments_are_named(call, problem):
    with pytest.raises(xt.InputError, match=problem) as caught:
        call()
    assert "--" not in str(caught.value)


def test_a_data_set_and_its_splits_have_short_names():
    data = xt.load_dataset("digits")
    assert repr(data) == (
        "Dataset(name=digits, classes=10, image_shape=(8, 8, 1), train=1077, validation=360, "
        "test=360)"
    )
    assert repr(data.train) == "Split(images=(1077, 8, 8, 1), labels=(1077,))"
    assert repr(data.test.take(slice(3))) == "Batch(images=(3, 8, 8, 1), labels=(3,))"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A model that sees brightness alone, with a data set that it gets half right, and a file."""
    folder = tmp_path_factory.mktemp("shapes")
    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    model.set_weights([np.tile([0.0, 1.0], (16, 1)), np.array([8.0, 0.0])])
    model.save(folder / "model.keras")
    images = np.random.default_rng(0).integers(0, 60, (40, 4, 4, 1)).astype(np.uint8)
    images[10:] += 150
    np.savez(folder / "data.npz", x=images, y=np.repeat([0, 1], 20))
    PIL.Image.fromarray(images[-1, ..., 0]).save(folder / "bright.png")
    return folder


def explained(folder, *words):
    words = ["explain", str(folder / "model.keras"), *words, "--method", "gradient_input"]
    return CliRunner().invoke(main, [*words, "--format", "json"])


def test_image_files_have_named_classes(shapes, tmp_path):
    words = [str(shapes / "bright.png"), "--classes", "triangle,plus"]
    done = explained(shapes, *words, "--target", "triangle", "--out", str(tmp_path / "a"))
    (image,) = json.loads(done.stdout)["images"]
    assert (image["predicted"], image["explained"]) == ("plus", "triangle")
    wrong = explained(shapes, *words[:2], "a,b,c", "--out", str(tmp_path / "b"))
    assert wrong.exit_code == 2 and "--classes: 3 given, but the model has 2" in wrong.stderr
    unknown = explained(shapes, words[0], "--target", "triangle", "--out", str(tmp_path / "b"))
    assert unknown.exit_code == 2 and "did you mean" not in unknown.stderr


def test_mistakes_are_chosen_and_counted_by_class(shapes, tmp_path):
    words = ["--dataset", f"npz:{shapes / 'data.npz'}", "--mistakes", "--out", str(tmp_path / "a")]
    known = json.loads(explained(shapes, *words).stdout)
    assert known["images"] and all(i["label"] != i["predicted"] for i in known["images"])
    classes = known["accuracy_by_class"]
    assert classes[1]["correct"] == classes[1]["images"] > classes[0]["correct"]
    assert sum(each["correct"] for each in classes) == known["accuracy"]["correct"]
    page = (tmp_path / "a" / "index.html").read_text("utf-8")
    assert "Accuracy by class" in page and "`" not in page
    files = explained(shapes, str(shapes / "bright.png"), "--mistakes", "--out", "never")
    assert files.exit_code == 2 and "true classes of image files are not known" in files.stderr


def test_classes_are_given_by_name(shapes):
    model = keras.models.load_model(shapes / "model.keras")
    images = np.zeros((3, 4, 4, 1), np.uint8)
    found = xt.explain(
        model,
        images,
        ["gradient_input"],
        targets=["plus", "minus", "plus"],
        labels=["minus", "plus", "plus"],
        class_names=["minus", "plus"],
    )
    assert found.labels.tolist() == [0, 1, 1] and found.targets.tolist() == [1, 0, 1]
    assert found.plot()


def test_the_command_line_names_options_instead():
    @click.command()
    @click.option("--candidate", "candidates", multiple=True)
    @click.option("--run-dir")
    @click.option("--set", "overrides")
    @click.option("--unsafe", "safe")
    @click.argument("run")
    def command(**_):
        names = "`candidate` or `candidates`, `run_dir`, `overrides`, `safe=False`, `run`, `x y`"
        click.echo(with_options(names))

    shown = CliRunner().invoke(command, ["here"]).stdout
    assert shown == "--candidate or --candidate, --run-dir, --set, --unsafe, `run`, `x y`\n"


def test_a_command_of_a_group_names_options_too(tmp_path):
    table = write(tmp_path / "table.csv", ROWS)
    asked = ["--algorithm", "nsga2", "--set", "search.populaton=4"]
    shown = CliRunner().invoke(main, ["benchmark", "search", "--table", str(table), *asked])
    assert shown.exit_code == 2
    assert "--set search.populaton=4" in shown.stderr and "`overrides`" not in shown.stderr


def test_a_prediction_that_is_not_finite_is_not_explained():
    network = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    images = np.zeros((3, 2, 2, 1), np.float32)
    images[1, 0] = np.nan
    with pytest.raises(xt.InputError, match="not finite for 1 of 3 images"):
        xt.explain(network, images, ["gradient_input"])


def test_a_model_that_has_no_output_for_black_is_explained(tmp_path):
    inputs = keras.Input((4, 4, 1))
    scaled = inputs / keras.ops.max(inputs, (1, 2, 3), keepdims=True)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(scaled)))
    images = np.random.default_rng(0).random((3, 4, 4, 1), np.float32)
    found = xt.explain(model, images, ["gradient_input"], measured=True)
    page = (found.save(tmp_path / "out") / "index.html").read_text("utf-8")
    assert "random maps: undefined" in page


@pytest.mark.filterwarnings("error")
def test_maps_that_are_not_finite_are_named_and_marked(tmp_path):
    inputs = keras.Input((4, 4, 1))  # the derivative of the square root at 0 is infinite
    flat = keras.layers.Flatten()(keras.ops.sqrt(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(flat))
    images = np.ones((2, 4, 4, 1), np.float32)
    images[0, 0, 0] = 0
    found = xt.explain(model, images, ["gradient_input"])
    (warning,) = found.warnings
    assert warning.startswith("gradient × input is not finite for 1 of 2 images")
    texts = [each.get_text() for axes in found.plot().axes for each in axes.texts]
    assert texts.count("not finite") == 1
    assert found.save(tmp_path / "out").is_dir()


def test_models_are_named_in_any_way(tmp_path):
    config = load_config(TWO, ["dataset=digits"])
    run = make_run(tmp_path / "run", config, 3)
    number = run.best.id
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    model_path(run.path, number).parent.mkdir(exist_ok=True)
    keras.Sequential(layers).save(model_path(run.path, number))
    test = xt.load_dataset("digits").test
    found = [xt.explain(m, methods=["gradient_input"]) for m in (run, str(run.path), run[number])]
    images = found[0].images
    named = xt.explain(run, images, ["gradient_input"], class_names=None, labels=["3"] * 8)
    assert named.class_names == list(xt.load_dataset("digits").class_names)
    network = run[number].load_model()
    method = attribution_method("gradient_input")()
    found.append(xt.explain(network, found[0].images, [method], labels=found[0].labels))
    for each in found:
        np.testing.assert_array_equal(each.maps[method], found[0].maps[method])
        assert len(np.unique(each.labels)) == len(each.images) == 8
    assert run.load_dataset().test.labels.tolist() == test.labels.tolist()
    assert found[0].plot(3).get_suptitle() == "Explanations of the first 3 of 8 images"
    assert repr(found[0]) == "Explanation(images=8, methods=[gradient_input])"
    assert "predicted" in found[0]._repr_html_()
    letters = xt.explain(run, methods=[method], class_names=list("abcdefghij"))
    assert list(letters.class_names) == list("abcdefghij")
    with pytest.raises(xt.InputError, match="`labels`: given without `images`"):
        xt.explain(run, labels=found[0].labels)
