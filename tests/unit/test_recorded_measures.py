"""Measures that are recorded and take no part in the search."""

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.datasets import saved_run
from tests.unit.test_evaluation import candidate, evaluator
from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import load_config
from xnas_tf.errors import InputError, NotApplicable
from xnas_tf.execution.callbacks import SearchContext
from xnas_tf.execution.result_cache import ResultCache, earlier_runs
from xnas_tf.execution.search_run import SearchRun, SearchState
from xnas_tf.objectives.base import Objective, ObjectiveValue
from xnas_tf.reporting import candidate_tables as tables
from xnas_tf.reporting.html.search import candidates_data, parts_note
from xnas_tf.reporting.tensorboard import TensorBoard
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run_directory import open_database
from xnas_tf.strategy.pareto import pareto_front

CONTROL = ["objectives=[error]", "record=[introspectability, parameters]"]
NAMES = [
    "error",
    "introspectability",
    "introspectability/grad_cam",
    "introspectability/integrated_gradients",
    "parameters",
]


class Undefined(Objective):
    """A measure without a finite value."""

    name: str = "undefined"

    def score(self, subject):
        return ObjectiveValue(float("nan"), {}, "there is nothing to measure")


class Inapplicable(Objective):
    """A measure that no model of this kind has."""

    name: str = "inapplicable"

    def score(self, subject):
        raise NotApplicable("the model has no convolution")


@pytest.mark.long
def test_what_is_recorded_is_measured_and_is_no_objective():
    outcome = evaluator(*CONTROL).evaluate(candidate())
    assert outcome.state == "done" and set(outcome.objectives) == {"error"}
    assert outcome.metrics["parameters"] > 0
    assert 0 <= outcome.metrics["introspectability"] <= 2
    as_objectives = evaluator("objectives=[error, introspectability, parameters]")
    known = as_objectives.evaluate(candidate())
    for name in ("introspectability", "parameters"):
        assert outcome.metrics[name] == pytest.approx(known.objectives[name], abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "reason", "needed"),
    [
        (Undefined, "there is nothing to measure", "constraints={{'{}': '<= 1'}}"),
        (Inapplicable, "the model has no convolution", "objectives=[error, '{}']"),
    ],
)
def test_a_recorded_measure_without_a_value_costs_no_candidate(kind, reason, needed):
    name = f"{__name__}:{kind.__name__}"
    outcome = evaluator("objectives=[error]", f"record=[{{name: '{name}'}}]").evaluate(candidate())
    assert outcome.state == "done" and reason in outcome.reason
    assert name not in outcome.metrics
    failed = evaluator("objectives=[error]", needed.format(name)).evaluate(candidate())
    assert failed.state == "failed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["record=[error]"], "record: 'error' is given twice"),
        (["record=[parameters, parameters]"], "record: 'parameters' is given twice"),
        (["record=[parametres]"], "did you mean 'parameters'"),
        (["record=[{name: introspectability, imges: 3}]"], "record.0.imges"),
    ],
)
def test_wrong_entries_are_named(words, told):
    with pytest.raises(InputError, match="configuration|quickstart") as raised:
        load_config(overrides=words)
    assert told in str(raised.value)


def test_a_limit_uses_the_options_of_what_is_recorded():
    config = load_config(
        overrides=[
            "objectives=[error]",
            "record=[{name: introspectability, images: 77}]",
            "constraints={introspectability: '>= 0.1', parameters: '<= 9'}",
        ]
    )
    images = [getattr(measure, "images", None) for measure in config.measures()]
    assert [m.name for m in config.measures()] == ["error", "introspectability", "parameters"]
    assert images == [None, 77, None]


def recorded(number, error, seen):
    """A candidate that is done, with values of all measures."""
    known = {name: seen for name in NAMES[1:4]} | {"parameters": 10.0 * number}
    return replace(
        candidate(),
        id=number,
        genotype=f"g{number}",
        state="done",
        objectives={"error": error},
        metrics={**known, "val_accuracy": 1 - error},
        finish_order=number,
    )


@pytest.fixture
def run(tmp_path):
    config = load_config(overrides=[*CONTROL, "training.epochs=2"])
    ended = recorded(1, 0.3, 0.9), recorded(2, 0.2, 0.5), recorded(3, 0.4, 0.1)
    return saved_run(tmp_path / "run", config, ended)


def test_recorded_values_stand_beside_objectives_and_do_not_rank(run):
    assert [column.name for column in measured_columns(run.config)] == NAMES
    assert [c.id for c in pareto_front(run.candidates(), run.config)] == [2]
    listed = tables.listing(run, everyone=True)
    table = tables.pareto_table(listed)
    shown = {str(column.header): list(column.cells) for column in table.columns}
    assert shown["introspectability ↑ (recorded)"] == ["0.5000", "0.9000", "0.1000"]
    assert shown["grad_cam ↑ (recorded)"] == ["0.5000", "0.9000", "0.1000"]
    known = json.loads(tables.pareto_json(listed))
    assert [each["name"] for each in known["record"]] == ["introspectability", "parameters"]
    rows = list(csv.DictReader(io.StringIO(tables.pareto_csv(listed))))
    assert [float(row["introspectability"]) for row in rows] == [0.5, 0.9, 0.1]
    data = candidates_data(run.candidates(), run.config)
    assert data["objectives"] == [[0.3, 0.2, 0.4]]
    assert data["measured"] == [[0.9, 0.5, 0.1]] * 3 + [[10, 20, 30]]


def test_tensorboard_shows_objectives_and_what_is_recorded(run, tmp_path):
    board = TensorBoard(SearchContext(tmp_path, run.config, None, None, None, 0))
    known = run.candidates()[1]
    board.on_candidate_end(SearchRun(tmp_path, run.config, SearchState(run.config), print), known)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "candidate-00002"))
    events.Reload()
    tags = [
        tag for tag in events.Tags()["tensors"] if tag.split("/")[0] in ("objective", "recorded")
    ]
    values = {tag: tf.make_ndarray(events.Tensors(tag)[0].tensor_proto) for tag in tags}
    assert set(values) == {"objective/error", *(f"recorded/{name}" for name in NAMES[1:])}
    assert values["objective/error"] == pytest.approx(0.2)
    for name in NAMES[1:4]:
        assert values[f"recorded/{name}"] == pytest.approx(0.5)


def test_the_parts_of_an_objective_are_shown_beside_it():
    one, several = (
        load_config(overrides=[f"objectives=[error, {{name: introspectability, sources: {s}}}]"])
        for s in ("[grad_cam]", "[grad_cam, activations]")
    )
    assert [c.name for c in measured_columns(one)] == NAMES[:2]
    titles = [c.title for c in measured_columns(several)]
    assert titles == ["error ↓", "introspectability ↑", "grad_cam ↑", "activations ↑"]
    assert parts_note(one) == ""
    assert parts_note(several).startswith("grad_cam, activations: the parts of introspectability,")


def test_a_run_that_measured_it_otherwise_is_not_reused(run, tmp_path):
    facts = {"digest": "d"}

    def wanted(record):
        words = ["objectives=[error]", f"record={record}", f"search.reuse=['{run.path}']"]
        return load_config(overrides=[*words, "training.epochs=2"])

    able = wanted("[introspectability]")
    assert [r.path for r in earlier_runs(able, tmp_path / "new", facts)] == [run.path]
    with pytest.raises(InputError, match="record.introspectability: measured with other options"):
        earlier_runs(wanted("[{name: introspectability, images: 64}]"), tmp_path / "new", facts)
    with pytest.raises(InputError, match="record.disentanglement: not measured there"):
        earlier_runs(wanted("[disentanglement]"), tmp_path / "new", facts)


def test_a_limit_on_what_was_recorded_with_other_options_is_refused(tmp_path):
    base = ["objectives=[error]", "training.epochs=2"]
    record = "record=[{name: introspectability, images: 64}, {name: latency, repeats: 7}]"
    there = load_config(overrides=[*base, record])
    open_database(tmp_path / "there", there).close()

    def limited(limits):
        words = [f"constraints={{{limits}}}", f"search.reuse=['{tmp_path / 'there'}']"]
        return load_config(overrides=[*base, *words])

    with pytest.raises(
        InputError, match="constraints.introspectability: measured with other options there"
    ):
        earlier_runs(limited("introspectability: '>= 0.1'"), tmp_path / "here", {})
    assert earlier_runs(limited("latency: '<= 9'"), tmp_path / "here", {})  # measured again here


def test_a_result_without_the_value_of_a_limit_is_not_reused():
    """A recorded measure may have no value, but a limit needs one."""
    known = Candidate(1, "a", {}, digest="d", epochs=2, state="done", objectives={"error": 0.1})
    known.reason = "not recorded: introspectability is nan"
    config = load_config(
        overrides=["objectives=[error]", "constraints={introspectability: '>= 0'}"]
    )
    earlier = SimpleNamespace(path="earlier", candidates=lambda: [known])
    asked = Candidate(5, "b", {}, epochs=2), Result(digest="d"), SearchState(config).wants, None
    assert ResultCache([earlier], config.constraints).answer(*asked) is None
    known.metrics = {"introspectability": -0.5}
    reused = ResultCache([earlier], config.constraints).answer(*asked)
    assert reused.reused_from == "candidate 1 of earlier"
