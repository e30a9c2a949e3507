"""Retraining: what is chosen, what is trained next, what is kept, and what is made of it."""

import io
import json
import math
import shutil
from contextlib import ExitStack
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import xnas_tf as xt
from tests.datasets import make_dataset
from tests.spaces import small_cells
from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import load_config
from xnas_tf.errors import InputError, RunError
from xnas_tf.reporting.candidate_tables import retraining_table
from xnas_tf.reporting.html.models import retrainings_data
from xnas_tf.retraining import session
from xnas_tf.retraining.baseline import ResNet, resnet_of_size
from xnas_tf.retraining.job import check_fits, hold, retrain
from xnas_tf.retraining.results import BASELINE, FOLDER, Retraining
from xnas_tf.retraining.session import RetrainingSession, made_folder
from xnas_tf.retraining.settings import RetrainingOptions, chosen_candidates, resolve
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import open_database
from xnas_tf.utils.intervals import mean_interval

SHAPE = (8, 8, 1)
TINY = [
    "dataset=digits",
    "space={name: nas_bench_201, channels: 2, cells_per_stack: 1}",
    "training={epochs: 2, batch_size: 20}",
    "objectives=[error, parameters]",
]
CELL = dict.fromkeys(EDGES, "nor_conv_1x1")


def cell_candidate(number=1, **more):
    genotype = NASBench201(SHAPE, 3).genotype(CELL)
    return Candidate(number, genotype, CELL, seed=1, epochs=8, **more)


# What is chosen


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three candidates: 1 dominates 2, and 3 failed."""
    path = tmp_path_factory.mktemp("retraining") / "run"
    config = load_config(overrides=[*TINY, "constraints.parameters='<= 10_000'"])
    record = open_database(path, config)
    for number, error in ((1, 0.1), (2, 0.2)):
        values = {"error": error, "parameters": 100.0 * number}
        metrics = {"val_accuracy": 1 - error}
        genotype = f"{cell_candidate().genotype}{'' if number == 1 else number}"
        record.save(
            replace(
                cell_candidate(number, state="done", objectives=values, metrics=metrics),
                genotype=genotype,
            )
        )
    record.save(Candidate(3, "g", {}, state="failed", reason="nan"))
    record.close()
    return Run(path)


def test_the_one_recommended_is_the_default_and_others_can_be_named(run):
    def ids(*arguments):
        return [candidate.id for candidate in chosen_candidates(run, *arguments)]

    assert ids((), False) == ids((), True) == [1]
    assert ids((2, 2), False) == [2]
    assert ids((2,), True) == [2, 1]
    assert ids(("best", 2), False) == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": [9]}, "has no candidate 9; allowed: 1 to 3"),
        ({"candidates": [3]}, "its state in .* is failed; allowed: candidates that are done, 1, 2"),
        ({"epochs": 0}, "`epochs` 0: allowed: 1 or more"),
        ({"patience": 0}, "`patience` 0: allowed: 1 or more"),
        ({"seeds": 0}, "`seeds` 0: allowed: 1 or more"),
        ({"overrides": ["training.epocks=3"]}, "did you mean 'epochs'"),
        ({"overrides": ["trainings.epochs=3"]}, "did you mean 'training'"),
        ({"overrides": ["training.jit_compile=maybe"]}, "jit_compile: given 'maybe'"),
        ({"overrides": ["dataset.seed=3"]}, "no section 'dataset' .*allowed: distributed, obj"),
        ({"overrides": ["distributed.engine=ray"]}, "engine=ray: only for a search; .*horovodrun"),
        ({"overrides": ["distributed={groups: 4}"]}, "distributed.groups=4: only for a search"),
        (
            {"overrides": ["space={hypermodel: 'a:b'}"]},
            "space.name=hypermodel: .* are from nas_bench_201",
        ),
    ],
)
def test_wrong_input_is_refused_before_anything_is_done(run, options, message):
    with pytest.raises(InputError, match=message):
        retrain(run, **options)
    assert not (run.path / FOLDER).exists()


def test_a_run_without_a_front_is_refused(tmp_path):
    open_database(tmp_path / "run", load_config(overrides=TINY)).close()
    with pytest.raises(InputError, match="no recommended candidate.*no candidate has a result yet"):
        retrain(tmp_path / "run")
    with pytest.raises(InputError, match="no Pareto-optimal candidates yet"):
        retrain(tmp_path / "run", pareto=True)


def test_settings_are_the_runs_with_the_users_changes(run):
    default = resolve(run, None, None, [])
    assert (default.config.training.epochs, default.patience) == (20, 6)
    assert resolve(run, None, np.int64(6), []).key == default.key
    assert not default.config.constraints  # made for small networks
    assert (run.config.training.keep, default.config.training.keep) == ("last", "best")
    with pytest.raises(InputError, match="training.keep: given 'last'; allowed: 'best'"):
        resolve(run, None, None, ["training.keep=last"])
    longer = resolve(run, 90, None, ["training.epochs=7", "space.channels=4"])
    assert (longer.config.training.epochs, longer.patience) == (90, 30)
    assert longer.config.space.channels == 4 and longer.config.space.cells_per_stack == 1
    assert resolve(run, None, None, ["training.epochs=7"]).config.training.epochs == 7


def test_rungs_of_the_search_say_nothing_of_a_retraining(run):
    config = load_config(run.config, ["training.epochs=4", "search.fidelity.epochs=[1, 4]"])
    with_rungs = type("", (), {"config": config, "path": run.path})
    assert resolve(with_rungs, None, None, []).config.rungs == [40]


def test_the_groups_of_the_search_are_none_of_a_retraining(run):
    options = "{engine: ray, groups: 4, ranks_per_candidate: 2, threads_per_rank: 3}"
    config = load_config(run.config, [f"distributed={options}"])
    on_ray = type("", (), {"config": config, "path": run.path})
    assert resolve(on_ray, None, None, []).config.distributed.threads_per_rank == 3


def test_settings_on_which_results_depend_have_a_folder_of_their_own(run):
    def key(*overrides, **more):
        return resolve(run, more.get("epochs"), more.get("patience"), overrides).key

    same = {
        key(),
        key("training.keep=best"),
        key("training.checkpoint_minutes=1"),
        key("distributed.threads_per_rank=1"),
    }
    others = {key("space.channels=4"), key("training.batch_size=8"), key(patience=3), key(epochs=3)}
    others.add(key("training.warmup_epochs=1"))
    assert len(same) == 1 and len(others | same) == 6


def test_a_folder_is_known_by_its_settings_even_if_its_version_had_fewer(run, tmp_path):
    copied = Run(shutil.copytree(run.path, tmp_path / "run"))
    settings = resolve(copied, None, None, [])
    older = copied.path / FOLDER / "20-epochs-of-an-earlier-version"
    older.mkdir(parents=True)
    assert settings.folder(copied) == copied.path / FOLDER / settings.key
    content = settings.config.model_dump(mode="json")
    del content["test"], content["record_at"], content["training"]["callbacks"]
    (older / "config.yaml").write_text(json.dumps(content))  # JSON is YAML, too
    (older / "retraining.json").write_text(json.dumps({"patience": 6, "test_images": 30}))
    damaged = copied.path / FOLDER / "10-epochs-whose-objectives-are-gone"
    damaged.mkdir()
    (damaged / "config.yaml").write_text("objectives: [gone:Gone]")
    (damaged / "retraining.json").touch()
    assert settings.folder(copied) == older
    assert resolve(copied, None, 7, []).folder(copied) != older
    assert resolve(copied, None, None, ["space.channels=4"]).folder(copied) != older


def test_options_of_a_hypermodel_count_whatever_their_names():
    def key(options):
        space = f"space={{name: hypermodel, hypermodel: 'a:b', options: {options}}}"
        config = load_config(overrides=["dataset=digits", space])
        return RetrainingOptions(config, 5).key

    assert len({key("{}"), key("{keep: best}"), key("{classes: null}"), key("{record: []}")}) == 4


def test_a_candidate_that_is_no_longer_in_the_space_is_refused():
    space = small_cells()
    check_fits(cell_candidate(), space)
    strange = replace(cell_candidate(), hyperparameters={**CELL, "edge_0_9": "none"})
    with pytest.raises(InputError, match="no hyperparameter 'edge_0_9' .did you mean 'edge_0_"):
        check_fits(strange, space)
    with pytest.raises(InputError, match="another architecture"):
        check_fits(replace(cell_candidate(), genotype="other"), space)


# The desk and what it keeps


def history(*accuracies):
    return [{"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": a} for a in accuracies]


def done(accuracy=0.9, parameters=500):
    return Result(
        "done",
        objectives={"error": 1 - accuracy, "parameters": float(parameters)},
        metrics={"test_accuracy": accuracy, "parameters": parameters, "best_epoch": 2},
        history=history(0.5, 0.8, 0.7),
        seconds={"train": 1.0},
    )


FAILED = done().failed("nan")


def desk_at(path, seeds=2, numbers=(1, 2), baseline=True, said=None, code="a"):
    settings = RetrainingOptions(load_config(overrides=TINY), 5)
    hashes = {"mine": code}
    retraining = made_folder(path / "3-epochs-00000000", settings, make_dataset(), hashes)
    return RetrainingSession(
        retraining,
        [cell_candidate(number) for number in numbers],
        seeds,
        make_dataset() if baseline else None,
        path / "tensorboard",
        lambda *_: None,
        (said if said is not None else []).append,
    )


def play(desk, outcome=lambda task: done()):
    """Works until the desk has nothing more; what was handed out."""
    tasks = []
    while (task := desk.ask()) is not None:
        assert desk.ask() is None  # one at a time
        result = outcome(task)
        if desk.wants_model(task, result):
            desk.save_model(task, b"model")
        desk.tell(task, result)
        tasks.append((task.id, task.seed))
    return tasks


def test_all_networks_are_trained_with_one_seed_then_with_the_next(tmp_path):
    desk = desk_at(tmp_path)
    assert play(desk) == [(1, 0), (2, 0), (BASELINE, 0), (1, 1), (2, 1), (BASELINE, 1)]
    desk.check()
    retraining = desk.retraining
    assert [(m.candidate, len(m.trainings)) for m in retraining.models()] == [
        (1, 2),
        (2, 2),
        (0, 2),
    ]
    for training in retraining.trainings():
        assert retraining.model_path(training.key, training.seed).read_bytes() == b"model"
        assert list((tmp_path / "tensorboard" / training.name).glob("events.out*"))


def test_curves_that_cannot_be_written_cost_no_training(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(session.TrainingCurves, "finish", refuse)
    said = []
    desk = desk_at(tmp_path, seeds=1, said=said)
    play(desk)
    assert {training.state for training in desk.retraining.trainings()} == {"done"}
    assert sum("no curves in TensorBoard: OSError: No space" in text for text in said) == 3


def test_what_is_done_is_not_done_again_and_more_joins_it(tmp_path):
    play(desk_at(tmp_path))
    assert play(desk_at(tmp_path)) == []
    assert play(desk_at(tmp_path, seeds=3)) == [(1, 2), (2, 2), (BASELINE, 2)]
    assert play(desk_at(tmp_path, numbers=(7,), seeds=1)) == [(7, 0)]


def test_code_that_has_changed_is_refused_if_seeds_would_be_of_different_networks(tmp_path):
    desk = desk_at(tmp_path, seeds=1, numbers=(1,), baseline=False)
    desk.save_checkpoint(desk.ask(), b"state of the first code")
    other = desk_at(tmp_path, seeds=1, numbers=(1,), baseline=False, code="b")
    task = other.ask()
    assert other.checkpoint(task) == b""
    other.tell(task, done())
    with pytest.raises(InputError, match="code has changed since networks in .* trained: mine. U"):
        desk_at(tmp_path, code="a")
    facts = tmp_path / "3-epochs-00000000" / "retraining.json"
    assert Retraining(facts.parent).code == {"mine": "b"}
    facts.write_text(json.dumps({"patience": 5, "test_images": 30}))  # of an earlier version
    assert desk_at(tmp_path, code="c").retraining.code == {"mine": "c"}


def test_the_baseline_is_as_large_as_the_largest_candidate(tmp_path):
    sizes = {1: 3_000, 2: 9_000}
    desk = desk_at(tmp_path, seeds=1)
    play(desk, lambda task: done(parameters=sizes.get(task.id, 1)))
    (baseline,) = (t for t in desk.retraining.trainings() if t.candidate == BASELINE)
    assert baseline.key == resnet_of_size(9_000, SHAPE, 3).key


def test_failures_do_not_stop_the_rest_and_are_tried_again(tmp_path):
    desk = desk_at(tmp_path, seeds=1)
    found = play(desk, lambda task: FAILED if task.id == 1 else done())
    assert found == [(1, 0), (2, 0), (BASELINE, 0)]
    desk.check()
    (failure,) = desk.retraining.failures()
    assert (failure.title, failure.reason) == ("candidate 1", "nan")
    again = desk_at(tmp_path, seeds=1)
    assert play(again) == [(1, 0)]
    assert not again.retraining.failures()


def test_when_everything_fails_that_is_an_error(tmp_path):
    desk = desk_at(tmp_path, seeds=1)
    assert play(desk, lambda _: FAILED) == [(1, 0), (2, 0)]
    with pytest.raises(RunError, match="every training failed; candidate-00001-seed-0: nan"):
        desk.check()


def test_a_training_goes_on_from_its_own_checkpoint(tmp_path):
    said = []
    first = desk_at(tmp_path, seeds=1, said=said)
    task = first.ask()
    assert first.checkpoint(task) == b""
    first.save_checkpoint(task, b"state")
    second = desk_at(tmp_path, seeds=1, said=said)
    assert second.ask() == task and second.checkpoint(task) == b"state"
    assert said == [
        "candidate 1, seed 0 (training 1 of 3)",
        "candidate 1, seed 0 (training 1 of 3), from its checkpoint",
    ]
    second.tell(task, done())
    assert not list((tmp_path / "3-epochs-00000000" / "checkpoints").iterdir())
    second.tell(task, FAILED)  # one that was given up as hung may end after all
    assert second.retraining.failures() == []


def test_one_retraining_of_a_run_at_a_time(tmp_path):
    folder = tmp_path / FOLDER
    with ExitStack() as first, ExitStack() as second:
        hold(first, folder)
        with pytest.raises(InputError, match="another process is retraining in .*retrained"):
            hold(second, folder)
        first.close()
        hold(second, folder)


# What is made of it


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_means_have_students_interval(values):
    """Which is where the t statistic has the critical value: 12.706 at one degree of freedom."""
    low, mean, high = mean_interval(values)
    assert mean == pytest.approx(np.mean(values)) and high - mean == pytest.approx(mean - low)
    if len(values) == 2:
        half = 12.7062 * abs(values[0] - values[1]) / 2
        assert math.isclose(high - mean, half, rel_tol=1e-4, abs_tol=1e-12)
    assert mean_interval(values[:1]) is None
    assert mean_interval(values[:1] * 3) == [values[0]] * 3


@pytest.mark.parametrize(
    ("seeds", "kind", "text"),
    [
        (1, "Wilson, 30 images", "90.00% (74.38% to 96.54%)"),
        # 0.8 and 1.0: 0.9 +- 12.7 * 0.1, which no accuracy can be
        (2, "t, 2 seeds", "90.00% (0.00% to 100.00%)"),
    ],
)
def test_the_table_says_which_interval_it_is(tmp_path, seeds, kind, text):
    desk = desk_at(tmp_path, seeds=seeds, numbers=(1,))
    values = {0: 0.9, 1: 0.9} if seeds == 1 else {0: 0.8, 1: 1.0}
    play(desk, lambda task: done(values[task.seed]))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(retraining_table(desk.retraining))
    rows = console.export_text(clear=False).splitlines()
    (row,) = (row for row in rows if row.strip().startswith("candidate 1"))
    assert kind in row and text in row
    is_useless = "two seeds cannot show a difference" in console.export_text(clear=False)
    assert is_useless == (seeds == 2)
    assert any(row.strip().startswith("ResNet-8") for row in rows)
    (model, _) = desk.retraining.as_dict()["models"]
    assert model["interval"] == kind and len(model["seeds"]) == seeds
    assert (model["objectives"]["error"]["interval"] is None) == (seeds == 1)
    (axis,) = desk.retraining.plot().axes
    spread = axis.containers[0].lines[2][0].get_segments()[0][:, 0]
    np.testing.assert_allclose(spread, 100 * np.array(model["test_accuracy"])[[0, 2]])
    dots = [100 * value for value in sorted(values.values())]
    assert any(np.allclose(sorted(line.get_xdata()), dots) for line in axis.get_lines()[1:])
    assert kind in desk.retraining._repr_html_() and "test accuracy ↑" in axis.get_xlabel()


def test_the_run_and_its_report_have_it_and_say_what_cannot_be_read(run, tmp_path):
    copied = shutil.copytree(run.path, tmp_path / "run")
    play(desk_at(copied / FOLDER, seeds=2))
    opened = Run(copied)
    (retraining,) = xt.retrainings(opened)
    data = retrainings_data(opened)
    (shown,) = data["found"]
    json.dumps(data, allow_nan=False)
    assert [m["model"] for m in shown["models"]] == [m.title for m in retraining.models()]
    assert shown["models"][0]["curves"] == [[0.5, 0.8, 0.7]] * 2
    assert asdict(retraining.trainings()[0])["objectives"] == done().objectives
    (next((retraining.path / "results").glob("*.json"))).write_text("{")
    broken = retrainings_data(opened)
    assert not broken["found"] and "retrained cannot be read" in broken["problem"]


def test_what_the_baseline_does_not_have_is_left_open(tmp_path):
    desk = desk_at(tmp_path, numbers=(1,))
    play(desk, lambda t: done() if t.id else replace(done(), objectives={"parameters": 500.0}))
    candidate, baseline = desk.retraining.as_dict()["models"]
    assert candidate["objectives"]["error"]["mean"] == pytest.approx(0.1)
    assert baseline["objectives"]["error"] is None
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(retraining_table(desk.retraining))
    (row,) = (r for r in console.export_text().splitlines() if r.strip().startswith("ResNet"))
    assert "–" in row


@pytest.mark.parametrize("content", ["{", "[]", '{"strange": 1}'])
@pytest.mark.parametrize("name", ["retraining.json", "results/candidate-00001-seed-0.json"])
def test_files_that_hold_something_else_are_named(tmp_path, name, content):
    desk = desk_at(tmp_path, seeds=1, numbers=(1,), baseline=False)
    play(desk)
    path = desk.retraining.path
    (path / name).write_text(content)
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        Retraining(path).trainings()


def test_results_are_only_read_under_their_own_name(tmp_path):
    """It becomes part of paths, and a run from somebody else could lead anywhere."""
    desk = desk_at(tmp_path, seeds=1, numbers=(1,), baseline=False)
    play(desk)
    (file,) = (desk.retraining.path / "results").glob("*.json")
    file.write_text(file.read_text().replace('"candidate-00001"', '"../../elsewhere"'))
    with pytest.raises(InputError, match=r"has the results of '\.\./\.\./elsewhere-seed-0'"):
        desk.retraining.trainings()


def test_a_kept_model_can_be_loaded(tmp_path):
    desk = desk_at(tmp_path, seeds=1, numbers=(1,), baseline=False)
    task = desk.ask()
    model = ResNet(1, 2).build(SHAPE, 3)
    file = tmp_path / "model.keras"
    model.save(file)
    desk.save_model(task, file.read_bytes())
    desk.tell(task, done())
    (training,) = desk.retraining.trainings()
    loaded = desk.retraining.load_model(training)
    assert isinstance(loaded, keras.Model)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_a_shortcut_of_the_baseline_is_a_convolution_with_strides_written_otherwise():
    """Of odd sizes too. TensorFlow's own gradient of 1x1 convolutions with strides was wrong."""
    model = ResNet(1, 2).build((7, 7, 1), 3)
    shortcuts = [layer for layer in model.layers if layer.name.endswith("shortcut_conv")]
    assert [layer.strides for layer in shortcuts] == [(1, 1)] * 2
    positions = model.get_layer(shortcuts[0].name.replace("_conv", "_positions"))
    values = keras.random.normal((2, 7, 7, 2), seed=0)
    strided = keras.ops.conv(values, shortcuts[0].kernel, 2, "same")
    np.testing.assert_allclose(shortcuts[0](positions(values)), strided, rtol=1e-5, atol=1e-6)
