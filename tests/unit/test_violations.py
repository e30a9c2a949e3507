"""Candidates beyond a limit: neither dominated nor results, wherever they are shown."""

import csv
import io
import json
from dataclasses import replace

import pytest

from tests.datasets import saved_run
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.execution.search_run import SearchRun, SearchState
from xnas_tf.figures.front_figure import front_figure, front_info
from xnas_tf.reporting import candidate_tables as tables
from xnas_tf.reporting.html.search import candidates_data
from xnas_tf.reporting.search_progress import SearchProgress
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.strategy.pareto import comparable_candidates
from xnas_tf.utils.progress import displayed

CONFIG = load_config(
    overrides=[
        "objectives=[error, parameters]",
        "constraints={error: '<= 0.3', flops: '<= 2_000', parameters: '<= 900'}",
        "training.epochs=1",
    ]
)
COSTLY = "parameters is 12,345, wanted: <= 900"


def done(number, error, parameters, flops=1000):
    values = {"error": error, "parameters": parameters}
    metrics = {"flops": flops, "val_accuracy": 1 - error}
    return Candidate(
        number, f"g{number}", {}, state="done", epochs=1, objectives=values, metrics=metrics
    )


EVERYONE = [
    done(1, 0.25, 100.0),
    done(2, 0.28, 200.0),  # dominated
    done(3, 0.5, 10.0),  # beyond the limit of the error
    Candidate(4, "g4", {}, state="infeasible", reason=COSTLY, objectives={"parameters": 12345.0}),
    Candidate(5, "g5", {}, state="duplicate", reason="the same network as candidate 1"),
]
BROKEN = "error is 0.5, wanted: <= 0.3"


@pytest.fixture
def run(tmp_path):
    ended = [replace(candidate, finish_order=candidate.id) for candidate in EVERYONE]
    return saved_run(tmp_path / "run", CONFIG, ended)


def test_tables_say_what_they_violate(run):
    listed = tables.listing(run, everyone=True)
    assert [c.id for c in listed.candidates] == [1, 2, 3] and listed.front == {1}
    remarks = next(c for c in tables.pareto_table(listed).columns if c.header == "remark")
    assert list(remarks.cells) == ["", "", BROKEN]
    assert [c["violations"] for c in json.loads(tables.pareto_json(listed))["candidates"]] == [
        *("", ""),
        BROKEN,
    ]
    rows = csv.DictReader(io.StringIO(tables.pareto_csv(listed)))
    assert [row["violations"] for row in rows] == ["", "", BROKEN]


def test_status_and_report_count_them_apart(run):
    status = run_status(run)
    assert (status["done"], status["violating"], status["infeasible"]) == (3, 1, 1)
    assert "violate limits   1, not on the front" in status_text(status)
    status["run"] = "runs/a"  # a long path is not broken
    whole, wrapped = status_text(status), status_text(status, width=60)
    assert wrapped.split() == whole.split() and max(map(len, wrapped.splitlines())) <= 60
    assert candidates_data(run.candidates(), CONFIG)["violations"] == ["", "", BROKEN, "", ""]


def test_the_figure_of_the_front_shows_them_apart():
    """Also during a search, which keeps only what it needs of each candidate."""
    state = SearchState(CONFIG)
    for candidate in EVERYONE:
        state.add(candidate)
    info = front_info(state.everyone, state.front, CONFIG, None)
    assert info.ids == (1,)
    assert info.dominated.tolist() == [[0.28, 200]] and info.violating.tolist() == [[0.5, 10]]
    _, labels = front_figure(info).axes[0].get_legend_handles_labels()
    assert labels == ["dominated", "violates constraints", "Pareto-optimal"]


def test_without_a_front_the_longest_trainings_are_compared():
    short, long = done(6, 0.4, 10.0, flops=3000), done(7, 0.5, 10.0, flops=3000)
    long.epochs = short.epochs + 1
    assert comparable_candidates([short, long], []) == [long]
    assert comparable_candidates([short, long], [short]) == [short]
    assert comparable_candidates(EVERYONE[3:], []) == []


def test_lines_of_the_log_are_results_only_where_there_is_one(capsys, tmp_path):
    state, progress = SearchState(CONFIG), SearchProgress(CONFIG)
    state.add(EVERYONE[0])
    with displayed():
        for candidate in EVERYONE:
            progress.on_candidate_end(SearchRun(tmp_path, CONFIG, state, print), candidate)
    lines = [line for line in capsys.readouterr().err.splitlines() if "/16" in line]
    assert (
        "candidate 1: error 0.25  parameters 100  (0.0 s)  on the front  best error 0.25"
        in lines[0]
    )
    assert f"parameters 10  violates constraints ({BROKEN})" in lines[2]
    assert f"candidate 4 infeasible: {COSTLY}" in lines[3] and "12345" not in lines[3]
    assert "candidate 5 duplicate: the same network as candidate 1" in lines[4]
    assert not any("hypervolume" in line for line in lines)  # generation 0 is not complete


def test_the_time_left_is_left_out_until_it_is_known(capsys, tmp_path):
    state, progress = SearchState(CONFIG), SearchProgress(CONFIG)
    trained = next(candidate for candidate in EVERYONE if candidate.state == "done")
    infeasible = next(candidate for candidate in EVERYONE if candidate.state == "infeasible")
    with displayed():
        for candidate in (infeasible, trained):
            state.add(candidate)
            progress.on_candidate_end(SearchRun(tmp_path, CONFIG, state, print), candidate)
    first, second = (line for line in capsys.readouterr().err.splitlines() if "/16" in line)
    assert "left" not in first and first.endswith("(0.0 s)") and second.endswith(" s left")


def test_a_search_without_a_front_says_how_near_it_came():
    state = SearchState(CONFIG)
    for candidate in [*EVERYONE[2:], done(6, 0.4, 10.0, flops=3000)]:
        state.add(candidate)
    text = state.explain_empty_front()
    assert "of 4, 1 infeasible, 1 duplicate, 2 violate constraints" in text
    assert f"the nearest, 3: {BROKEN}" in text
    assert f"candidate 4 is infeasible: {COSTLY}" in text
