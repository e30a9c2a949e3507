"""What a run's front looks like, in tables, for programs and as a picture."""

import csv
import io
import itertools
import json

import numpy as np
import pytest

from tests.unit.test_conductor import Groups
from tests.unit.test_front import FIVE, ONE, THREE, TWO, candidates
from xnas_tf.config import load_config
from xnas_tf.report import tables
from xnas_tf.report.figures import front_figure, front_info, png
from xnas_tf.run.directory import Run
from xnas_tf.strategy.front import pareto_front
from xnas_tf.strategy.knee import suggestion


@pytest.fixture
def run(tmp_path):
    config = load_config(
        overrides=["objectives=[error, parameters]", "search={candidates: 30, population: 6}"]
    )
    Groups(tmp_path / "run", config, False, 1, np.random.default_rng(0)).run()
    return Run(tmp_path / "run")


def test_all_forms_mark_the_same_candidates(run):
    listed = tables.listing(run, everyone=True)
    assert listed.knee == suggestion(run.pareto(), run.config).id and listed.knee in listed.front
    front = {c.id for c in run.pareto()}
    from_json = json.loads(tables.pareto_json(listed))["candidates"]
    from_csv = list(csv.DictReader(io.StringIO(tables.pareto_csv(listed))))
    cells = list(tables.pareto_table(listed).columns[0].cells)
    assert [c["id"] for c in from_json] == [int(c["id"]) for c in from_csv]
    assert {c["id"] for c in from_json if c["pareto"]} == front
    assert [c["id"] for c in from_json if c["knee"]] == [listed.knee]
    assert [int(c["id"]) for c in from_csv if c["knee"] == "True"] == [listed.knee]
    assert {int(cell.rstrip("*")) for cell in cells if cell.endswith("*")} == front
    assert [cell for cell in cells if cell.endswith("**")] == [f"{listed.knee}**"]


@pytest.mark.parametrize("config", [ONE, TWO, THREE, FIVE], ids=["1", "2", "3", "5"])
@pytest.mark.parametrize("count", [0, 9])
def test_every_pair_of_objectives_has_a_picture(config, count):
    size = len(config.objectives)
    everyone = candidates(config, np.random.default_rng(0).random((count, size)))
    front = pareto_front(everyone, config)
    info = front_info(everyone, front, config)
    figure = front_figure(info)
    shown = [axis for axis in figure.axes if axis.axison]
    assert len(shown) == max(1, len(list(itertools.combinations(range(size), 2))))
    for axis, (row, column) in zip(
        shown, ((r, c) for r in range(max(1, size - 1)) for c in range(r + 1)), strict=True
    ):
        drawn = axis.get_lines()[0].get_xydata()
        assert np.array_equal(drawn, info.front[:, [column, row + 1]])
        assert len(axis.collections[0].get_offsets()) == count - len(front)
        if front:
            ringed = axis.get_lines()[1].get_xydata()
            assert np.array_equal(ringed, info.front[[info.knee]][:, [column, row + 1]])
    drawn_twice = io.BytesIO()
    front_figure(info).savefig(drawn_twice, dpi=20)  # by matplotlib's own, slower way
    assert png(figure, dpi=20) == drawn_twice.getvalue()
