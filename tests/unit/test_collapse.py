"""Trainings that came to nothing: how they are seen, and what is said of them."""

import csv
import html
import io
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import xnas_tf as xt
from tests.datasets import make_dataset, saved_run
from tests.ranks import on_ranks
from tests.spaces import small_cells
from tests.unit.test_evaluation import candidate, evaluator
from xnas_tf.cli import main
from xnas_tf.config import load_config
from xnas_tf.evaluation.collapse import collapse_text, describe_collapse
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.execution import job
from xnas_tf.execution.search_run import SearchRun, SearchState
from xnas_tf.keras_tools.inspection import normalization_momentum
from xnas_tf.reporting import candidate_tables as tables
from xnas_tf.reporting.html.summary import best_accuracy_text
from xnas_tf.reporting.search_progress import SearchProgress
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.utils.progress import displayed

FALLING = [{"loss": 1.1}, {"loss": 0.4}]
FLAT = [{"loss": 1.1}, {"loss": 1.1}]


def collapsed(answers, labels, right, history=FALLING):
    return describe_collapse(np.array(answers), np.array(labels), right, history)


def test_one_answer_for_nearly_all_images_is_a_collapse():
    assert "100% of the validation images" in collapsed([30, 0, 0], [10, 10, 10], 10)
    assert "97%" in collapsed([29, 1, 0], [10, 10, 10], 11)
    assert collapsed([27, 3, 0], [10, 10, 10], 13) == ""


def test_a_frequent_answer_is_right_where_the_class_is_frequent():
    assert collapsed([96, 4], [96, 4], 100) == ""
    assert collapsed([97, 3], [95, 5], 98) == ""
    assert collapsed([100, 0], [96, 4], 96) != ""
    assert collapsed([7, 0], [7, 0], 7) == ""  # the split has images of one class only


def test_a_loss_that_does_not_fall_is_a_collapse_only_at_chance():
    assert "did not fall (1.1 to 1.1)" in collapsed([12, 9, 9], [10, 10, 10], 11, FLAT)
    assert collapsed([12, 9, 9], [10, 10, 10], 25, FLAT) == ""
    assert collapsed([12, 9, 9], [10, 10, 10], 11, FALLING) == ""
    assert collapsed([12, 9, 9], [10, 10, 10], 11, FLAT[:1]) == ""  # one epoch: nothing to compare
    assert collapsed([12, 9, 9], [10, 10, 10], 11, [{"val_loss": 1.0}] * 2) == ""


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=2, max_size=10).filter(lambda c: len(c) * max(c) > 1),
    st.integers(0, 9),
)
def test_every_constant_classifier_collapsed_and_no_perfect_one(counts, answered):
    labels = np.array(counts)
    constant = np.zeros_like(labels)
    constant[answered % len(labels)] = labels.sum()
    assert describe_collapse(constant, labels, int(labels[answered % len(labels)]), FALLING)
    assert describe_collapse(labels, labels, int(labels.sum()), FALLING) == ""


@pytest.mark.long
def test_a_training_that_cannot_learn_is_done_and_marked():
    still = evaluator("training.learning_rate=1e-12", "training.schedule=constant")
    outcome = still.evaluate(candidate())
    assert outcome.state == "done" and outcome.metrics["collapsed"] == 1
    assert "collapsed: " in outcome.reason
    able = evaluator("training.epochs=8").evaluate(replace(candidate("nor_conv_3x3"), epochs=8))
    assert "collapsed" not in able.metrics and able.metrics["val_accuracy"] > 0.6


@pytest.mark.long
def test_all_ranks_mark_the_same():
    def work(ranks):
        data = make_dataset()
        config = load_config(
            overrides=[
                "objectives=[error]",
                "training={epochs: 2, batch_size: 20, learning_rate: 1.0e-12}",
            ]
        )
        outcome = Evaluator(config, data, small_cells(), ranks).evaluate(candidate())
        return outcome.metrics.get("collapsed"), outcome.reason

    first, second = on_ranks(2, work)
    assert first == second and first[0] == 1


CONFIG = load_config(overrides=["objectives=[error]", "search.candidates=4"])


def known(number, **metrics):
    return replace(
        candidate(),
        id=number,
        genotype=f"g{number}",
        state="done",
        objectives={"error": 0.1 * number},
        metrics={"accuracy": 0.3, "val_accuracy": 0.3, **metrics},
        reason="collapsed: so" if metrics.get("collapsed") else "",
        finish_order=number,
    )


def test_the_likely_cause_follows_from_what_was_learned_in_training():
    assert collapse_text([known(1)], CONFIG) == ""
    steps = collapse_text([known(1), known(2, collapsed=1.0)], CONFIG)
    assert steps.startswith("1 of 2 trained candidates collapsed")
    assert "0.1 with sgd" in steps and "too high (try training.learning_rate=0.01" in steps
    assert "training.optimizer=adam" in steps
    adam = load_config(overrides=["training.optimizer=adam"])
    assert "learning_rate=0.0001" in collapse_text([known(1, collapsed=1.0)], adam)
    assert "training.optimizer=adam" not in collapse_text([known(1, collapsed=1.0)], adam)
    own = collapse_text([known(1, collapsed=1.0)], adam, has_own_optimizer=True)
    assert "HyperModel compiles" in own and "frozen" in own and "training.learning_rate" not in own
    scaled = collapse_text([known(1, collapsed=1.0)], CONFIG, range_problem="they expect 0-255")
    assert "Likely cause: they expect 0-255. If that is not the cause: the learning" in scaled
    lagging = collapse_text([known(1, collapsed=1.0, accuracy=0.99)], CONFIG)
    assert "batch normalisation" in lagging and "learning rate" not in lagging


@pytest.mark.parametrize(
    ("momentum", "advice"),
    [
        (None, "lag behind; make sure that your model sets momentum=0.9, or train for more than"),
        (0.99, "lag behind; set momentum=0.9 in your model, which has 0.99, or train for more"),
        (0.9, "lag behind; train for more than"),
        (0.0, "the learning rate ("),  # no batch normalisation
    ],
)
def test_a_momentum_is_advised_only_to_a_model_without_it(momentum, advice):
    lagging = known(1, collapsed=1.0, accuracy=0.99)
    assert advice in collapse_text([lagging], CONFIG, norm_momentum=momentum)


def test_the_momentum_is_that_of_the_layers_that_are_trained():
    slow, fast, frozen = (layers.BatchNormalization(momentum=m) for m in (0.99, 0.8, 0.999))
    frozen.trainable = False
    inner = keras.Sequential([keras.Input((4,)), slow])
    for chosen, momentum in (
        ([fast, inner, frozen], 0.99),
        ([fast, frozen], 0.8),
        ([frozen], None),
        ([layers.Dense(2)], None),
    ):
        model = keras.Sequential([keras.Input((4,)), *chosen])
        assert normalization_momentum(model) == momentum


@pytest.mark.parametrize("weights", ["null", "imagenet"])
def test_random_weights_instead_of_pretrained_ones_are_the_first_cause(weights):
    name = "examples.transfer_learning:TransferLearning"
    space = f"space={{hypermodel: '{name}', options: {{weights: {weights}}}}}"
    config = load_config(overrides=["objectives=[error]", space])
    text = collapse_text([known(1, collapsed=1.0)], config, has_own_optimizer=True)
    assert ("Likely cause: the networks may start from random weights" in text) == (
        weights == "null"
    )
    assert "learning rate with which your HyperModel" in text


def test_status_tables_and_progress_show_it(tmp_path, capsys):
    everyone = [known(1), known(2, collapsed=1.0)]
    everyone[0].reason = "a source is lost in noise"
    everyone[0].objectives = {"error": 0.0, "parameters": 44163.0}
    run = saved_run(tmp_path / "run", CONFIG, everyone)
    status = run_status(run)
    assert status["collapsed"] == 1 and "1 of 2 trained candidates collapsed" in status_text(status)
    listed = tables.listing(run, everyone=True)
    table = tables.pareto_table(listed)
    remarks = next(column for column in table.columns if column.header == "remark")
    assert list(remarks.cells) == ["", "collapsed"]
    assert "candidate 1: a source is lost in noise" in str(table.caption)
    assert "parents" not in [column.header for column in table.columns]
    assert '"collapsed": true' in tables.pareto_json(listed)
    rows = csv.DictReader(io.StringIO(tables.pareto_csv(listed)))
    assert [row["collapsed"] for row in rows] == ["False", "True"]
    state = SearchState(CONFIG)
    state.add(everyone[0])
    progress = SearchProgress(CONFIG)
    with displayed():
        for each in everyone:
            progress.on_candidate_end(SearchRun(run.path, CONFIG, state, print), each)
    lines = capsys.readouterr().err.splitlines()
    assert sum("collapsed" in line for line in lines if line.startswith("2/4")) == 1
    assert not any("collapsed" in line for line in lines if line.startswith("1/4"))
    assert "candidate 1: a source is lost in noise" in lines
    assert any("parameters 44,163 " in line for line in lines if line.startswith("1/4"))


TWO = load_config(overrides=["objectives=[error, parameters]", "search.candidates=4"])


def small_one(number, error, parameters, **metrics):
    values = {"error": error, "parameters": parameters}
    found = known(number, **{**metrics, "val_accuracy": 1 - error})
    return replace(found, objectives=values)


def announced(capsys, *candidates):
    """The lines of a search that ends with these."""
    state, progress = SearchState(TWO), SearchProgress(TWO)
    with displayed():
        for each in candidates:
            state.add(each)
            progress.on_candidate_end(SearchRun(Path("run"), TWO, state, print), each)
    return [line for line in capsys.readouterr().err.splitlines() if line[1:3] == "/4"]


def test_a_collapsed_candidate_is_not_announced_as_progress(capsys):
    collapsed = small_one(1, 0.6, 10.0, collapsed=1.0)
    other = small_one(2, 0.7, 5.0, collapsed=1.0)
    lines = announced(capsys, collapsed, other, small_one(3, 0.8, 2.0), small_one(4, 0.2, 90.0))
    assert [" on the front " in line for line in lines] == [False, False, True, True]
    assert all("the front has only collapsed candidates" in line for line in lines[:2])
    assert not any("best" in line or "hypervolume" in line for line in lines[:2])
    assert "best error 0.8" in lines[2] and "best error 0.2" in lines[3]


def test_a_collapsed_candidate_has_words_instead_of_a_star(tmp_path):
    ended = small_one(1, 0.6, 10.0, collapsed=1.0), small_one(2, 0.2, 90.0)
    run = saved_run(tmp_path / "run", TWO, ended)
    assert [c.id for c in run.pareto()] == [2, 1]
    table = tables.pareto_table(tables.listing(run, everyone=False))
    cells = {column.header: list(column.cells) for column in table.columns}
    assert cells["id"] == ["2**", "1"] and cells["remark"] == ["", "collapsed, but on the front"]
    only = [small_one(1, 0.3, 10.0, collapsed=1.0)]
    assert best_accuracy_text(only, 0) == "70.0%, candidate 1, which collapsed"
    assert best_accuracy_text([*only, small_one(2, 0.4, 5.0)], 0) == "60.0%, candidate 2"


def collapsed_run(path):
    """A finished run with a collapsed candidate on the front, another that is not, and a result."""
    ended = [
        small_one(1, 0.6, 10.0, collapsed=1.0),
        small_one(2, 0.2, 90.0),
        small_one(3, 0.7, 95.0, collapsed=1.0),
        small_one(4, 0.3, 95.0),
    ]
    return saved_run(path, TWO, ended)


def test_notebooks_and_figures_show_it(tmp_path):
    run = collapsed_run(tmp_path / "run")
    text = run.collapse_text()
    assert text.startswith("2 of 4 trained candidates collapsed") and "learning rate" in text
    shown = run._repr_html_()
    assert html.escape(text) in shown and shown.count("<td>collapsed</td>") == 1
    (axes,) = run.plot_front().axes
    handles, labels = axes.get_legend_handles_labels()
    points = {
        label: each.get_offsets().tolist()
        for each, label in zip(handles[:2], labels[:2], strict=True)
    }
    assert points == {"dominated": [[0.3, 95.0]], "collapsed": [[0.6, 10.0], [0.7, 95.0]]}


def test_without_a_collapse_nothing_is_said_of_it(tmp_path):
    run = saved_run(tmp_path / "run", TWO, [small_one(1, 0.2, 90.0)])
    assert run.collapse_text() == "" and "collapsed" not in run._repr_html_()
    (axes,) = run.plot_front().axes
    assert "collapsed" not in axes.get_legend_handles_labels()[1]


def test_a_search_in_python_warns_of_it_once(tmp_path, monkeypatch, capsys):
    """The command line adds tables, but does not repeat the warning."""
    path = tmp_path / "run"
    run = collapsed_run(path)
    monkeypatch.setattr(job, "run_job", lambda *_: None)
    found = xt.search(TWO, path, verbose=0)
    assert (
        found.path == path and capsys.readouterr().err.strip() == f"warning: {run.collapse_text()}"
    )
    config = path / "config.yaml"
    shown = CliRunner().invoke(main, ["search", str(config), "--run-dir", str(path)])
    assert shown.exit_code == 0 and shown.stderr.count("trained candidates collapsed") == 1
    shown = CliRunner().invoke(main, ["pareto", str(path)])
    assert shown.exit_code == 0 and shown.stderr.count("trained candidates collapsed") == 1


@pytest.mark.parametrize(
    ("words", "optimizer", "rate"),
    [
        ([], "sgd", 0.1),
        (["space={hypermodel: 'a:b'}"], "adam", 0.001),
        (["space={hypermodel: 'a:b'}", "training.learning_rate=0.01"], "adam", 0.01),
        (["space={hypermodel: 'a:b'}", "training.optimizer=sgd"], "sgd", 0.1),
        (["training.optimizer=adamw"], "adamw", 0.001),
        (["training={optimizer: rmsprop, learning_rate: 0.02}"], "rmsprop", 0.02),
    ],
)
def test_the_default_optimizer_fits_the_space(words, optimizer, rate):
    config = load_config(overrides=words)
    assert (config.training.optimizer, config.training.learning_rate) == (optimizer, rate)
    assert load_config(config).training == config.training  # what a run keeps is what it was
