"""The data behind a report, and that no text in it becomes anything else."""

import base64
import hashlib
import itertools
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import keras
import moocore
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from tests.datasets import make_dataset, saved_run
from tests.unit.test_conductor import Groups, configuration
from tests.unit.test_front import ONE, THREE, TWO, candidates
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.explanation.expert_text import explanation_page
from xnas_tf.figures import importance as influence
from xnas_tf.figures.importance import hyperparameters, importance_data
from xnas_tf.figures.progress import progress_data
from xnas_tf.interpretation.accuracy_text import accuracy_paragraph, weak_classes_text
from xnas_tf.keras_tools.input_range import from_unit_model, range_of, scaled
from xnas_tf.reporting.html.comparison import _differing_settings, comparison_data
from xnas_tf.reporting.html.examination import Examiner
from xnas_tf.reporting.html.interpretations import interpretations_data, model_interpretations
from xnas_tf.reporting.html.model_report import _called, _facts, _problem
from xnas_tf.reporting.html.models import _examine, chosen_models
from xnas_tf.reporting.html.page import render, save_report
from xnas_tf.reporting.html.quality import quality_data, saved_quality
from xnas_tf.reporting.html.run_report import report_data
from xnas_tf.reporting.html.search import lost_data
from xnas_tf.reporting.html.summary import _space_text
from xnas_tf.reporting.predictions import calibration_data, metrics_on_test
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.storage.run import Run
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import pareto_front
from xnas_tf.strategy.recommendation import Recommendation
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.training.class_predictions import OtherRange
from xnas_tf.utils.number_format import format_value, ten_digits

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&<!--\u2028\ud800"


class Page(HTMLParser):
    """What a browser finds in a page: its elements, and what is in its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.metas, self.within = [], [], {}, ""
        self.feed(text)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.within = tag
        if tag == "meta":
            known = dict(attributes)
            self.metas[known.get("http-equiv") or known.get("name")] = known.get("content")

    def handle_data(self, text):
        if self.within == "script":
            self.scripts.append(text)
            self.within = ""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "run"
    Groups(path, configuration(60, 12), True, 3, np.random.default_rng(0)).run()
    return Run(path)


def quietly(run, numbers=(), models=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(influence, "RESAMPLES", 2)
        return report_data(run, numbers, models, 1, lambda _: None)


@pytest.fixture(scope="module")
def known(run):
    return quietly(run)


def test_the_page_has_every_candidate_as_recorded(run, known):
    data = Page(render(known)).data
    everyone, shown = run.candidates(), data["candidates"]
    for name in ("id", "genotype", "state", "generation", "reason"):
        assert shown[name] == [getattr(candidate, name) for candidate in everyone]
    assert shown["parents"] == [list(candidate.parents) for candidate in everyone]
    for objective, values in zip(run.config.objectives, shown["objectives"], strict=True):
        recorded = [c.objectives.get(objective.name) for c in everyone]
        np.testing.assert_allclose(*np.array([values, recorded], float), rtol=1e-5)
    assert data["front"] == [candidate.id for candidate in run.pareto()]
    assert data["recommended"]["id"] == run.best.id
    assert data["recommended"]["why"] == run.recommendation().why
    for place, candidate in enumerate(everyone):
        found = {h["name"]: h["values"][h["places"][place]] for h in data["hyperparameters"]}
        assert found == candidate.hyperparameters


@pytest.mark.parametrize("value", [1.4352544, 1.43524999, 0.03125, *np.linspace(0, 2, 101) / 3])
def test_a_value_in_a_page_is_rounded_like_the_recorded_one(value):
    assert format_value(ten_digits(value)) == format_value(value)
    assert ten_digits(value) == pytest.approx(value, rel=1e-9) and ten_digits(None) is None


def test_every_candidate_without_a_result_is_among_the_failures(run, known):
    lost = known["lost"]
    ids = [number for kind in lost for number in kind["ids"]]
    states = {c.id: c.state for c in run.candidates()}
    assert sorted(ids) == [n for n, s in states.items() if s not in ("done", "running")]
    assert all(states[number] == kind["state"] for kind in lost for number in kind["ids"])


def test_hyperparameters_are_in_order_of_their_names():
    given = [{"width10": 1, "kernel": 3}, {"width2": 1, "conv": "a", "kernel": 3}]
    found = hyperparameters([Candidate(i, str(i), row) for i, row in enumerate(given)])
    assert [each.name for each in found] == ["conv", "kernel", "width2", "width10"]


def test_reasons_that_differ_in_numbers_are_one_failure():
    reasons = ["loss nan in epoch 3", "loss nan in epoch 12", "out of memory"]
    found = lost_data(
        Candidate(i, str(i), {}, state="failed", reason=reason) for i, reason in enumerate(reasons)
    )
    assert [(kind["reason"], kind["ids"]) for kind in found] == [
        ("loss nan in epoch 3", [0, 1]),
        ("out of memory", [2]),
    ]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 5).map(float)] * 3), max_size=12), st.integers(1, 3))
def test_progress_ends_with_the_front_and_never_loses_volume(rows, size):
    config = load_config((ONE, TWO, THREE)[size - 1], ["search.population=3"])
    everyone = candidates(config, [row[:size] for row in rows])
    start = "2026-01-01T00:00:00+00:00"
    everyone = [replace(c, finish_order=c.id, started=start) for c in everyone]
    everyone = [replace(c, finished=f"2026-01-01T{c.id:02d}:00:00+00:00") for c in everyone]
    found = progress_data(everyone, config)
    unknown = sum(volume is None for volume in found["hypervolume"])
    volumes = found["hypervolume"][unknown:]
    assert None not in volumes and (not volumes or found["trainings"][unknown] == 3)
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(volumes))
    assert found["hours"] == found["trainings"] == sorted(found["trainings"])
    if rows:
        front = pareto_front(everyone, config)
        assert found["trainings"][-1] == len(rows)
        volume = HypervolumeMeter(everyone, config)(front)
        assert found["hypervolume"][-1] == (volume and pytest.approx(volume, rel=1e-5))
        for objective, values in zip(config.objectives, found["best"], strict=True):
            best = min if objective.direction == "minimize" else max
            assert values[-1] == best(c.objectives[objective.name] for c in everyone)


def everywhere(value, text):
    """The same data with the text in place of all texts and names that a user may choose."""
    if isinstance(value, dict):
        return {key: everywhere(each, text) for key, each in value.items()}
    if isinstance(value, list):
        return [everywhere(each, text) for each in value]
    return text if isinstance(value, str) else value


@pytest.fixture(scope="module")
def tags(known):
    """The elements of the page with its own texts."""
    return Page(render(known)).tags


@given(st.text() | st.just(HOSTILE) | st.text("<>/!-script&'\"", max_size=30))
def test_no_text_becomes_anything_but_text(known, tags, text):
    data = everywhere(known, text)
    written = render(data)
    page = Page(written)
    assert page.data == json.loads(json.dumps(data))
    assert page.tags == tags
    written.encode()  # lone surrogates too


def test_the_policy_allows_the_pages_own_script_and_style_alone(known):
    text = render(known)
    page = Page(text)
    rules = page.metas["Content-Security-Policy"].split(";")
    policy = dict(rule.strip().split(" ", 1) for rule in rules)
    assert policy.pop("img-src") == "data:"
    for kind, content in (
        ("script-src", page.scripts[1]),
        ("style-src", re.search("<style>(.*?)</style>", text, re.S)[1]),
    ):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy.pop(kind) == f"'sha256-{digest}'"
    assert set(policy.values()) == {"'none'"} and "default-src" in policy
    assert "link" not in page.tags and "img" not in page.tags


def varied(count, value_of, extra=False):
    rng = np.random.default_rng(0)
    found = []
    for number in range(1, count + 1):
        values = {"a": str(rng.choice(["x", "y", "z"])), "b": int(rng.integers(5)), "same": 1}
        if extra and values["a"] == "x":
            values["only with x"] = float(rng.random())
        error = value_of(values) + 0.01 * rng.standard_normal()
        found.append(Candidate(number, "", values, state="done", objectives={"error": error}))
    return found


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(influence, "RESAMPLES", 5)


def test_what_an_objective_depends_on_matters_and_nothing_else(few_resamples):
    everyone = varied(300, lambda values: {"x": 0.0, "y": 1.0, "z": 3.0}[values["a"]])
    (found,) = importance_data(everyone, ONE, np.random.default_rng(0))["objectives"]
    assert found["foreseen"][0] > 0.95
    known = {each["name"]: each for each in found["hyperparameters"]}
    assert set(known) == {"a", "b"}
    assert known["a"]["importance"][0] > 0.5
    assert known["a"]["importance"][1] == pytest.approx(1, abs=0.1)  # all variance is due to it
    assert known["b"]["importance"][2] < 0.05
    means = {each["value"]: each["mean"][1] for each in known["a"]["values"]}
    assert means == pytest.approx({"x": 0, "y": 1, "z": 3}, abs=0.2)
    assert [each["value"] for each in known["b"]["values"]] == [0, 1, 2, 3, 4]


def test_importance_is_the_share_of_the_variance(few_resamples):
    """Of a sum of independent terms: the variance of each term, as a share of their sum's."""
    values_of_a = {"x": -np.sqrt(1.5), "y": 0.0, "z": np.sqrt(1.5)}  # variance 1
    everyone = varied(400, lambda v: values_of_a[v["a"]] + (v["b"] - 2) * np.sqrt(1.5))  # 1 and 3
    (found,) = importance_data(everyone, ONE, np.random.default_rng(0))["objectives"]
    shares = {each["name"]: each["importance"][1] for each in found["hyperparameters"]}
    assert shares == pytest.approx({"a": 0.25, "b": 0.75}, abs=0.12)


def test_of_many_numbers_some_are_looked_at(few_resamples):
    everyone = varied(60, lambda values: values.get("only with x", 2.0), extra=True)
    (found,) = importance_data(everyone, ONE, np.random.default_rng(0))["objectives"]
    known = {each["name"]: each["values"] for each in found["hyperparameters"]}
    numbers = [each["value"] for each in known["only with x"]]
    assert len(numbers) == 6 and numbers == sorted(numbers)
    recorded = [c.hyperparameters.get("only with x", numbers[0]) for c in everyone]
    assert (numbers[0], numbers[-1]) == (min(recorded), max(recorded))


def test_chance_is_not_called_influence():
    rng = np.random.default_rng(1)
    everyone = varied(60, lambda _: float(rng.random()))
    (found,) = importance_data(everyone, ONE, np.random.default_rng(0))["objectives"]
    assert found["foreseen"][0] <= 0
    assert all(each["importance"][0] <= 0 for each in found["hyperparameters"])


def test_equal_values_are_not_called_predicted(few_resamples):
    everyone = [replace(each, objectives={"error": 0.1}) for each in varied(20, lambda _: 0.1)]
    (found,) = importance_data(everyone, ONE, np.random.default_rng(0))["objectives"]
    assert found["foreseen"] == [0, 0, 0]
    for each in found["hyperparameters"]:
        assert each["importance"] == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("everyone", "why"),
    [
        ([], r"too few candidates with results (0; at least 10)"),
        (varied(9, lambda _: 0.0), r"too few candidates with results (9; at least 10)"),
        (
            [replace(c, hyperparameters={"a": 1}) for c in varied(20, lambda _: 0.0)],
            "no hyperparameter was",
        ),
    ],
)
def test_too_little_to_learn_from_is_said(everyone, why):
    found = importance_data(everyone, ONE, np.random.default_rng(0))
    assert why in found["why_not"] and not found["objectives"]


def test_answers_are_counted_by_true_and_predicted_class():
    found = metrics_on_test(np.array([0, 0, 1, 1]), np.eye(3)[[0, 1, 1, 1]], 3)
    assert found["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert found["accuracy"][1] == 0.75
    assert [each and each[1] for each in found["classes"]] == [0.5, 1.0, None]


@given(st.integers(0, 30), st.integers(0, 9), st.data())
def test_a_part_of_the_front_has_its_ends_and_the_one_recommended_first(size, most, data):
    rows = [(float(place), float(place) ** 1.5) for place in range(size)]
    front = candidates(TWO, rows)
    recommended = data.draw(st.sampled_from([None, *(c.id for c in front)]))
    found = SimpleNamespace(front=front, recommended=Recommendation(recommended, ""))
    chosen = chosen_models(None, found, (), most)
    ids = [c.id for c in chosen]
    assert len(ids) == min(size, most) and len(set(ids)) == len(ids)
    if chosen and recommended:
        assert ids[0] == recommended
        ids = ids[1:]
    assert ids == sorted(ids)
    if most > 2 and size > most:
        assert {front[0].id, front[-1].id} <= {c.id for c in chosen}


def test_a_candidate_that_is_not_there_is_refused(run):
    with pytest.raises(InputError, match="has no candidate 9999"):
        quietly(run, [9999])


def test_models_that_were_not_kept_say_so(run):
    data = quietly(run, models=3)
    assert len(data["models"]["models"]) == min(3, len(run.pareto()))
    assert all("no model was kept" in model["problem"] for model in data["models"]["models"])


def test_saved_paths_are_shown_and_broken_ones_are_named(tmp_path):
    folder = tmp_path / "disentanglements"
    known = {"diversity": 0.5, "kept": 0.25, "rank_correlation": None}
    known["mistakes"] = {"count": 2, "taken_for_a_similar_class": 0.5, "by_chance": 0.3}
    layers = [
        {"uncorrected_similarity": found, "expected_similarity": expected}
        for found, expected in ((0.5, 0.25), (0.7, 0.35))
    ]
    corrected = {"uncorrected_diversity": 0.4, "false_alarms": 0.08, "layers": layers}
    for name, text in (
        ("candidate-00003", json.dumps(known)),  # of a version before the correction
        ("candidate-00007", json.dumps(known | corrected)),
        ("candidate-00012", "{"),
        ("candidate-00013", "[]"),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "disentanglement.json").write_text(text)
    (folder / "mine").mkdir()
    (folder / "candidate-00007" / "hit_rate.png").write_bytes(b"\x89PNG")
    run = SimpleNamespace(path=tmp_path, fact=lambda _: None)
    kind, other = interpretations_data(run)
    assert not other["found"]
    old, good, broken, other = kind["found"]
    assert old["candidate"] == 3
    assert [m.value for m in old["metrics"] if m.name.startswith("diversity")] == ["0.50"]
    values = {metric.name: metric.value for metric in good["metrics"]}
    assert good["candidate"] == 7
    assert values["diversity of paths ↑"] == "0.50"
    assert values["diversity, not corrected for chance"] == "0.40"
    assert values["channels that two paths share ↓"] == "0.60 (random paths: 0.30)"
    assert [picture["name"] for picture in good["pictures"]] == ["Whether a path finds its class"]
    assert broken["candidate"] == 12 and "candidate-00012 cannot be read" in broken["problem"]
    assert other["candidate"] == 13 and "candidate-00013 cannot be read" in other["problem"]


def test_a_model_to_which_not_all_methods_apply_is_shown():
    data = make_dataset()
    inputs = keras.Input(data.image_shape)
    outputs = keras.layers.Dense(data.classes)(keras.layers.Flatten()(inputs))
    found = Examiner(data, 2, measured=True).examine(keras.Model(inputs, outputs))
    assert list(found["maps"]) == ["integrated gradients"]
    values = [each.value for each in found["quality"]["metrics"]]
    assert all(value.startswith("integrated gradients: ") for value in values)
    assert "; random maps: " in values[0]
    assert "Grad-CAM" in str(found["notes"])
    assert [each["source"] for each in found["means"]] == ["integrated gradients"]


def test_only_an_earlier_report_is_replaced(run, tmp_path, monkeypatch):
    monkeypatch.setattr(influence, "RESAMPLES", 2)
    mine = tmp_path / "mine.html"
    mine.write_text("<p>my notes</p>")
    with pytest.raises(InputError, match="is not a report and was not touched"):
        save_report(run, mine, models=0)
    assert mine.read_text() == "<p>my notes</p>"
    with pytest.raises(InputError, match="there is no folder"):
        save_report(run, tmp_path / "nowhere" / "r.html", models=0)
    with pytest.raises(InputError, match="cannot be written"):
        save_report(run, tmp_path, models=0)
    path = save_report(run.path, models=0)
    assert path == run.path / "report.html"
    assert save_report(run, models=0) == path
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.html"]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_calibration_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(3, 0.5), 60)
    labels = rng.integers(0, 3, 60)
    found = calibration_data(labels, probabilities)
    correct, confidence = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=10)
    assert [each[0] for each in found["bins"]] == pytest.approx(mean.tolist())
    assert [each[1][1] for each in found["bins"]] == pytest.approx(accuracy.tolist())
    counts = np.array([each[2] for each in found["bins"]])
    gaps = np.abs(accuracy - mean)
    assert found["error"] == pytest.approx(float(counts @ gaps / counts.sum()))


def test_a_model_that_is_sure_and_right_is_calibrated():
    labels = np.array([0, 1, 1])
    assert calibration_data(labels, np.eye(2)[labels])["error"] == 0
    assert calibration_data(labels, np.eye(2)[1 - labels])["error"] == 1


def searched(path, seed, *options):
    config = load_config(configuration(30, 6), options)
    Groups(path, config, True, 3, np.random.default_rng(seed)).run()
    return Run(path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    path = tmp_path_factory.mktemp("compared")
    return searched(path / "a", 1), searched(path / "b", 2, "training.epochs=7")


def test_other_code_and_versions_are_settings_that_differ(tmp_path):
    runs = []
    for name, number in (("a", "1"), ("b", "2")):
        versions = {"keras": f"3.{number}", "numpy": "2.4"}
        failed = Candidate(1, "g", {}, state="failed", finish_order=1, versions=versions)
        code = {"mine": number * 64, "same": "3" * 64}
        facts = {"code": code, "groups": {"ranks": 4, "size": int(number)}}
        config = load_config(overrides=["training.epochs=1"])
        runs.append(saved_run(tmp_path / name, config, [failed], **facts))
    assert _differing_settings(runs, [run.snapshot() for run in runs]) == [
        ["hash of mine", "1" * 8, "2" * 8],
        ["version of keras", "3.1", "3.2"],
        ["ranks per candidate", "1", "2"],
    ]


def test_runs_are_compared_by_hypervolumes_of_one_unit(pair, tmp_path):
    found = comparison_data(pair)
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    assert found["settings"] == [["training.epochs", "1", "7"]]
    objectives = pair[0].config.objectives
    everyone = [c for run in pair for c in run if c.state == "done"]
    worst = [
        max((c.objectives[o.name] for c in everyone), key=lambda v: o.sign * v) for o in objectives
    ]
    best = [
        min((c.objectives[o.name] for c in everyone), key=lambda v: o.sign * v) for o in objectives
    ]
    assert [(low, high) for _, low, high in found["box"]] == [*zip(worst, best, strict=True)]
    for run, shown in zip(pair, found["runs"], strict=True):
        assert shown["ids"] == [c.id for c in run.pareto()]
        assert shown["recommended"]["id"] == run.recommendation().id
        costs = np.array(
            [[o.sign * c.objectives[o.name] for o in objectives] for c in run.pareto()]
        )
        limits = np.array([o.sign * value for o, value in zip(objectives, worst, strict=True)])
        least = np.array([o.sign * value for o, value in zip(objectives, best, strict=True)])
        volume = moocore.hypervolume(costs, ref=limits) / (limits - least).prod()
        assert 0 < volume <= 1
        assert shown["progress"]["hypervolume"][-1] == pytest.approx(volume, rel=1e-5)
    page = Page(save_report(list(pair), tmp_path / "both.html").read_text("utf-8"))
    assert page.data["title"] == "Comparison of 2 runs"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "objectives=[error, flops]",
            r"their objectives \(objectives.1.name: parameters and flops",
        ),
        ("dataset=digits", r"their data \(dataset.name: mnist5k and digits\)"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(pair, tmp_path, option, message):
    config = load_config(pair[0].config, [option])
    saved_run(tmp_path / "other", config)
    with pytest.raises(InputError, match=message):
        save_report([pair[0], tmp_path / "other"], tmp_path / "x.html")


def test_arguments_that_do_not_apply_are_refused(pair, tmp_path):
    first = pair[0]
    for wanted, options, message in (
        ([first, first.path], {}, "given twice"),
        ([], {}, "the list is empty"),
        (list(pair), {"candidates": 3}, "`candidates` does not apply to several runs"),
        (first, {"dataset": "digits"}, "`dataset` does not apply to a run"),
        (tmp_path / "no.keras", {}, "does not exist"),
        (tmp_path / "no.keras", {"candidates": 3}, "`candidates` does not apply to a model"),
    ):
        with pytest.raises(InputError, match=message):
            save_report(wanted, tmp_path / "x.html", **options)
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize("name", ["0-1", "-1-1", "0-255"])
def test_a_model_of_any_input_range_gets_what_it_expects(name):
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1), np.uint8)
    data = SimpleNamespace(image_shape=(6, 6, 1))
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(2, name="only")]
    )
    adapted = from_unit_model(model, data.image_shape, name)
    expected = model(scaled(images, name))
    np.testing.assert_allclose(adapted(scaled(images, "0-1")), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("some/model.keras", "the classifier model.keras"),
        ("some/export", "the classifier export"),
        (keras.Sequential(name="mine"), "the classifier mine"),
    ],
)
def test_a_report_names_the_model(given, name):
    assert _called(given) == name


@pytest.mark.parametrize(
    ("accuracy", "says"),
    [
        (Accuracy(97, 100, 10, 0.17), "is only 17.0%, far below the accuracy"),
        (Accuracy(10, 100, 10, 0.1), "no better than that of always predicting"),
        (Accuracy(97, 100, 10, 0.9), ""),
        (Accuracy(97, 100, 10), ""),
    ],
)
def test_a_report_says_if_the_model_may_have_got_the_wrong_values(accuracy, says):
    text = _problem(accuracy, ["cat", "dog"])
    assert says in text and bool(text) == bool(says)


def test_a_report_names_the_range_and_the_class_behind_a_low_accuracy():
    better = OtherRange("0-255", 95, 10, 100, 0.9, True)
    at_chance = Accuracy(10, 100, 50, 0.9, input_range="0-1", tried=(better,))
    text = _problem(at_chance, ["cat", "dog"])
    assert "With 0 to 255, the model is right on 95 of 100 images instead of 10" in text
    uneven = Accuracy(91, 100, 80, by_class=((80, 80), (11, 20)))
    assert _problem(uneven, ["cat", "dog"]) == "The model is much worse for dog (11 of 20 correct)."


def test_results_of_another_model_of_the_same_name_are_left_out(tmp_path):
    folder = tmp_path / "interpretations" / "net"
    folder.mkdir(parents=True)
    mine, other = Accuracy(9, 10, 5, 0.7), Accuracy(8, 10, 5, 0.7)
    test = {"accuracy": {"f": 0.9, "g": 0.8}, "fidelity": {"top1": 0.7}}
    test |= {"conciseness": {"5": 2.0}, "unused_attributes": 0, "attribute_use": [0.5]}
    content = {"accuracy": mine.as_dict(), "test": test}
    (folder / "interpretation.json").write_text(json.dumps(content))
    for accuracy, count in ((mine, 1), (other, 0), (Accuracy(9, 10, 5, 0.700001), 1)):
        paths, attributes = model_interpretations(tmp_path, "net", accuracy, "0-1")
        assert len(attributes["found"]) == count
        said = "interpretations/net are not shown: their accuracy is different"
        assert (said in attributes["left_out"]) == (count == 0)
        assert not paths["left_out"]  # there are none


def test_results_of_another_input_range_are_left_out_and_said_so(tmp_path):
    folder = tmp_path / "disentanglements" / "net"
    folder.mkdir(parents=True)
    accuracy = Accuracy(9, 10, 5)
    known = {"diversity": 0.5, "kept": 0.25, "rank_correlation": None, "mistakes": {"count": 0}}
    content = {**known, "accuracy": Accuracy(7, 10, 5).as_dict(), "input_range": "0-255"}
    content["mistakes"] |= {"taken_for_a_similar_class": None, "by_chance": 1.0}
    (folder / "disentanglement.json").write_text(json.dumps(content))
    paths, attributes = model_interpretations(tmp_path, "net", accuracy, "0-1")
    expected = "they were made with the input range 0-255, and this report with 0-1."
    assert not paths["found"] and paths["left_out"].endswith(expected)
    assert not attributes["left_out"]
    paths, _ = model_interpretations(tmp_path, "net", Accuracy(7, 10, 5), "0-255")
    assert len(paths["found"]) == 1 and not paths["left_out"]


def explained(correct, **more):
    """What ``xnas-tf explain`` writes about a model with so many correct predictions of 10."""
    values = {"mean": 0.4, "images": [0.4, 0.5, 0.3, 0.4, 0.4]}
    method = {"title": "Grad-CAM", "quality": {"sensitivity_n": values}, "empty": [False] * 5}
    image = {"file": None, "predicted": "a", "probability": 1, "explained": "a", "label": "a"}
    return {
        "accuracy": Accuracy(correct, 10, 5).as_dict(),
        "accuracy_by_class": [],
        "images": [image] * 5,
        "methods": {"grad_cam": {**method, "concentrated": []}},
        "random_maps": {},
        "warnings": [],
        **more,
    }


@pytest.mark.parametrize("correct", [9, 1])
def test_a_report_has_the_verdicts_and_metrics_of_the_page_of_explain(tmp_path, correct):
    """None follow from the maps of a model that is no better than chance."""
    known = explained(correct)
    page = explanation_page(known)
    folder = tmp_path / "explanations" / "candidate-00004"
    folder.mkdir(parents=True)
    (folder / "explanation.json").write_text(json.dumps(known))
    run = SimpleNamespace(path=tmp_path, fact=lambda _: None)
    saved = saved_quality(run, 4)
    assert not saved["warnings"]
    for quality in (quality_data(known), saved["quality"]):
        assert quality["metrics"] == page.metrics
        assert bool(quality["verdicts"]) == (correct == 9)
        assert set(quality["verdicts"]) <= set(page.summary)
    chosen = quality_data(explained(correct, only_mistakes=True))["verdicts"]
    assert chosen == ["Only misclassified images were chosen.", *quality["verdicts"]]
    known["methods"]["grad_cam"]["quality"] = {}
    assert quality_data(known) == {}
    assert saved_quality(run, 5) == {"quality": {}, "warnings": []}


@pytest.mark.parametrize(("confusion", "is_same"), [([[4, 1], [0, 5]], True), ([[9, 0]], False)])
def test_results_about_other_data_than_the_runs_are_marked(tmp_path, confusion, is_same):
    accuracy = Accuracy(9, 10, 5).as_dict()
    known = {"diversity": 0.5, "kept": 0.25, "rank_correlation": None, "accuracy": accuracy}
    known["mistakes"] = {"count": 0, "taken_for_a_similar_class": None, "by_chance": 1.0}
    for kind, name, content in (
        ("disentanglements", "disentanglement", known),
        ("explanations", "explanation", explained(9)),
    ):
        (tmp_path / kind / "candidate-00004").mkdir(parents=True)
        (tmp_path / kind / "candidate-00004" / f"{name}.json").write_text(json.dumps(content))
    facts = {"test figures of candidate-00004": {"figures": {"confusion": confusion}}}
    run = SimpleNamespace(path=tmp_path, fact=facts.get)
    (paths,) = interpretations_data(run)[0]["found"]
    for texts in (paths["summary"], saved_quality(run, 4)["quality"]["verdicts"]):
        assert any("not about the test split of this run" in text for text in texts) != is_same


@pytest.mark.parametrize(("used", "is_other"), [("0-255", True), ("0-1", False), (None, False)])
def test_results_in_another_input_range_than_the_trainings_are_marked(tmp_path, used, is_other):
    folder = tmp_path / "explanations" / "candidate-00004"
    folder.mkdir(parents=True)
    (folder / "explanation.json").write_text(json.dumps(explained(9, input_range=used)))
    run = SimpleNamespace(path=tmp_path, fact=lambda _: None)
    (first, *_) = saved_quality(run, 4)["quality"]["verdicts"]
    marked = "These results were made with the input range 0-255, but the model was trained on 0-1."
    assert (first == marked) == is_other


def test_a_report_does_not_name_arguments_of_python():
    data = make_dataset()
    inputs = keras.Input(data.image_shape)
    outputs = keras.layers.Dense(data.classes)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    resolved = range_of(model, data.image_shape)
    facts = dict(_facts(model, data, Accuracy(9, 10, 5), resolved))
    assert "`input_range`" in resolved.reason
    assert facts["input range"].endswith("no layer scales the model's input")


def test_the_summary_counts_results_and_names_the_hypermodel(run, known):
    results = [c for c in run.candidates() if c.state == "done"]
    facts = dict(known["facts"])
    assert facts["front"].startswith(f"{len(known['front'])} Pareto-optimal of {len(results)} ")
    assert len(results) < len(known["candidates"]["id"])  # some have no result
    space = HyperModelOptions(hypermodel="mine:MyModel")
    assert "mine:MyModel" in _space_text(space)
    assert dict(known["status"])["run"].startswith(str(run.path))
    assert known["path"] == shlex.quote(str(run.path))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=3, max_size=3))
def test_a_confusion_matrix_names_the_weak_classes_that_explain_names(counts):
    """The same sentence, or none, from the numbers of right and wrong predictions by class."""
    assume(np.any(counts))
    names = ["cat", "dog", "<b>"]
    confusion = np.diag([right for right, _ in counts])
    for label, (_, wrong) in enumerate(counts):
        confusion[label, (label + 1) % 3] = wrong
    labels = np.repeat(np.arange(3), confusion.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(3), row) for row in confusion])
    found = weak_classes_text(metrics_on_test(labels, np.eye(3)[predicted], 3)["confusion"], names)
    accuracy = Accuracy.of(predicted, labels)
    explained = accuracy_paragraph(accuracy.as_dict(), accuracy.classes(names))
    assert found in explained and ("much worse" in found) == ("much worse" in explained)


class Subclassed(keras.Model):
    """Its graph is unknown to Keras, and so is the activation of its output."""

    def __init__(self, units, activation):
        super().__init__()
        self.head = keras.layers.Dense(units, activation=activation)

    def call(self, inputs):
        return self.head(keras.layers.Flatten()(inputs))


@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (2, "softmax"), (2, None)])
def test_a_model_without_a_graph_is_measured_by_its_probabilities(units, activation, monkeypatch):
    monkeypatch.setattr(Examiner, "_attributions", lambda *_: {})
    monkeypatch.setattr(Examiner, "_class_means", lambda *_: [])
    data, model = make_dataset(classes=2), Subclassed(units, activation)
    images = data.test.images.astype(np.float32) / 255
    outputs = np.asarray(model(images))
    if activation is None:
        outputs = np.asarray(keras.ops.softmax(outputs))
    second = outputs[:, -1]
    expected = metrics_on_test(data.test.labels, np.stack([1 - second, second], axis=1), 2)
    found = Examiner(data, 2).examine(model)
    assert found["confusion"] == expected["confusion"]
    assert found["calibration"]["error"] == pytest.approx(
        expected["calibration"]["error"], abs=1e-5
    )


def test_a_report_says_if_the_code_of_a_models_own_layers_has_changed():
    examiner = SimpleNamespace(examine=lambda _: {"notes": ["empty maps"]})
    model = Subclassed(2, "softmax")
    candidate = SimpleNamespace(module=__name__, load_model=lambda _: model)
    for code, notes in (({__name__: "other"}, 2), ({}, 1)):
        found = _examine(examiner, SimpleNamespace(fact={"code": code}.get), candidate, True)
        assert len(found["notes"]) == notes and found["notes"][-1] == "empty maps"
        changed = f"{Path(__file__).name} has changed since the search: the model may behave"
        assert found["notes"][0].startswith(changed) == (notes == 2)
