"""What a run's front looks like, in tables, for programs and as a picture."""

import csv
import html
import io
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import saved_run
from tests.unit.test_conductor import Groups
from tests.unit.test_front import FIVE, ONE, THREE, TWO, candidates
from xnas_tf.config import load_config
from xnas_tf.figures.front_figure import front_figure, front_info
from xnas_tf.figures.uncertainty import too_wide_note
from xnas_tf.reporting import candidate_tables as tables
from xnas_tf.reporting.html.search import search_data
from xnas_tf.reporting.predictions import metrics_on_test
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.storage.run import Run
from xnas_tf.storage.tested_models import candidate_name, figures_fact
from xnas_tf.strategy.pareto import pareto_front
from xnas_tf.utils.pictures import png


@pytest.fixture
def run(tmp_path):
    config = load_config(
        overrides=["objectives=[error, parameters]", "search={candidates: 30, population: 6}"]
    )
    Groups(tmp_path / "run", config, False, 1, np.random.default_rng(0)).run()
    return Run(tmp_path / "run")


@pytest.mark.parametrize("has_learned", [True, False])
def test_all_forms_mark_the_same_candidates(run, has_learned):
    if not has_learned:
        saved_run(run.path, run.config, validation=[1, 0])
    listed = tables.listing(run, everyone=True)
    front = {c.id for c in run.pareto()}
    assert front and listed.front == front
    number = listed.recommended.id
    marked = [number] if has_learned else []
    if has_learned:
        assert number == run.best.id and number in front
    else:
        assert number is None and "commonest class" in listed.recommended.why
    whole = json.loads(tables.pareto_json(listed))
    from_json = whole["candidates"]
    from_csv = list(csv.DictReader(io.StringIO(tables.pareto_csv(listed))))
    cells = list(tables.pareto_table(listed).columns[0].cells)
    assert [c["id"] for c in from_json] == [int(c["id"]) for c in from_csv]
    times = [c["seconds"]["total"] for c in from_json]
    assert times == [float(c["seconds/total"]) for c in from_csv] and any(times)
    assert all(c["seconds"].items() >= run[c["id"]].seconds.items() for c in from_json)
    assert {c["id"] for c in from_json if c["pareto"]} == front
    assert (whole["recommended"], whole["why"]) == (number, listed.recommended.why)
    assert [c["id"] for c in from_json if c["recommended"]] == marked
    assert [int(c["id"]) for c in from_csv if c["recommended"] == "True"] == marked
    assert {int(cell.rstrip("*")) for cell in cells if cell.endswith("*")} == front
    assert [cell for cell in cells if cell.endswith("**")] == [f"{each}**" for each in marked]


def test_the_status_names_the_one_recommended(run):
    found = run.recommendation()
    status = run_status(run)
    assert (status["recommended"], status["why"]) == (found.id, found.why)
    assert status_text(status).splitlines()[-1] == f"recommended      {found.text}"


def test_the_weak_classes_of_the_recommended_candidate_are_named_wherever_it_is(run):
    """Test results by class are named, and nothing is chosen by them."""
    before = run.recommendation()
    others = [c.id for c in run.candidates() if c.id != before.id]
    # No other is as accurate on the test split as these claim.
    tested = {figures_fact(candidate_name(n)): figures([[90, 0], [0, 30]]) for n in others}
    dataset = {"class_names": ["bat", "<b>moth</b>"]}
    saved_run(run.path, run.config, dataset=dataset, **tested)
    assert run.recommendation() == before and before.on_test == ""
    name = figures_fact(candidate_name(before.id))
    saved_run(run.path, run.config, **{name: figures([[90, 0], [19, 11]])})
    found = run.recommendation()
    weak = "The model is much worse for <b>moth</b> (11 of 30 correct)."
    assert found == replace(before, on_test=weak)
    assert found.text == f"{before.text}. On the test split: {weak}"
    assert html.escape(found.text) in run._repr_html_() and weak in repr(found)
    status = run_status(run)
    assert status_text(status).splitlines()[-1] == f"recommended      {found.text}"
    assert json.loads(tables.pareto_json(tables.listing(run, False)))["on_test"] == weak
    data = search_data(run, run.snapshot())
    assert data["recommended"]["on_test"] == weak


def test_luck_on_the_validation_split_is_named(run):
    facts = {"dataset": {"class_names": ["bat", "moth"]}, "validation": [100, 80]}
    saved_run(run.path, run.config, **facts)
    name = figures_fact(candidate_name(run.recommendation().id))
    saved_run(run.path, run.config, **{name: figures([[50, 40], [40, 50]])})
    assert run.recommendation().on_test.startswith("The accuracy of 55.6% is clearly below the ")


def figures(confusion):
    """What is recorded about a model with this confusion matrix."""
    pairs = [
        [(label, taken)] * n for label, row in enumerate(confusion) for taken, n in enumerate(row)
    ]
    labels, taken = np.array(sum(pairs, [])).T
    return {"source": {}, "figures": metrics_on_test(labels, np.eye(len(confusion))[taken], 2)}


def test_the_other_options_reach_the_listing(run):
    able = run.pareto()
    smallest = min(able, key=lambda c: c.objectives["parameters"]).id
    assert tables.listing(run, True, prefer="parameters").recommended.id == smallest
    least = min(able, key=lambda c: c.objectives["error"]).id
    assert tables.listing(run, True, within=0).recommended.id == least != smallest


@pytest.mark.parametrize("config", [ONE, THREE, *left_to_all(TWO, FIVE)], ids=["1", "3", "2", "5"])
@pytest.mark.parametrize("count", [9, *left_to_all(0)])
def test_every_pair_of_objectives_has_a_picture(config, count):
    size = len(config.objectives)
    everyone = candidates(config, np.random.default_rng(0).random((count, size)))
    front = pareto_front(everyone, config)
    recommended = front[-1].id if front else None
    info = front_info(everyone, front, config, recommended)
    figure = front_figure(info)
    shown = [axis for axis in figure.axes if axis.axison]
    assert len(shown) == max(1, len(list(itertools.combinations(range(size), 2))))
    for axis, (row, column) in zip(
        shown, ((r, c) for r in range(max(1, size - 1)) for c in range(r + 1)), strict=True
    ):
        drawn = axis.get_lines()[0].get_xydata()
        assert np.array_equal(drawn, info.front[:, [column, row + 1]])
        assert sum(len(dots.get_offsets()) for dots in axis.collections) == count - len(front)
        if front:
            ringed = axis.get_lines()[1]
            place = info.ids.index(recommended)
            assert np.array_equal(ringed.get_xydata(), info.front[[place]][:, [column, row + 1]])
            assert ringed.get_label() == f"recommended: {recommended}"
    drawn_twice = io.BytesIO()
    front_figure(info).savefig(drawn_twice, dpi=20)  # by matplotlib's own, slower way
    assert png(figure, dpi=20) == drawn_twice.getvalue()


def test_an_interval_as_wide_as_the_range_is_not_drawn_but_mentioned():
    """Introspectability lies between 0 and 2; a standard error of 1 is the largest possible."""
    everyone = candidates(TWO, [(0.2, 0.3), (0.1, 0.2)])
    for each, error in zip(everyone, (0.01, 1.0), strict=True):
        each.metrics["introspectability/standard_error"] = error
    info = front_info(everyone, everyone, TWO, None)
    bars = np.isfinite(info.intervals[:, 1]).all(axis=1)
    assert dict(zip(info.ids, bars.tolist(), strict=True)) == {1: True, 2: False}
    figure = front_figure(info)
    (legend,) = figure.legends
    assert "1 interval too wide to draw" in [text.get_text() for text in legend.get_texts()]
    note = too_wide_note(everyone, TWO.objectives)
    assert note.startswith("No bar for introspectability of candidate 2: ")
    assert too_wide_note(everyone[:1], TWO.objectives) == ""


def test_without_a_recommendation_there_is_no_ring():
    everyone = candidates(TWO, [(0.2, 0.3), (0.1, 0.2)])
    (axis,) = front_figure(front_info(everyone, everyone, TWO, None)).axes
    labels = [line.get_label() for line in axis.get_lines()]
    assert [label for label in labels if not label.startswith("_")] == ["Pareto-optimal"]


@pytest.mark.parametrize("directions", [*itertools.product(["minimize", "maximize"], repeat=2)])
def test_the_line_is_the_border_of_what_the_front_dominates(directions):
    """Its corners have the worse value of two neighbours in each objective."""
    names = {"minimize": ["error", "parameters"], "maximize": ["introspectability", "insertion"]}
    chosen = [names[direction][at] for at, direction in enumerate(directions)]
    config = load_config(overrides=[f"objectives=[{', '.join(chosen)}]"])
    rows = np.random.default_rng(0).random((20, 2))
    front = pareto_front(candidates(config, rows), config)
    info = front_info(front, front, config, None)
    (axis,) = front_figure(info).axes
    border = next(line for line in axis.get_lines() if line.get_drawstyle() != "default")
    corners = {tuple(point) for point in border.get_path().vertices}
    signs = np.array([1 if direction == "minimize" else -1 for direction in directions])
    for one, two in itertools.pairwise(info.front):
        assert tuple(signs * np.maximum(signs * one, signs * two)) in corners
