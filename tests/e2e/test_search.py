import json
import shutil
import textwrap

import pytest

import xnas_tf as xt
from tests.e2e.conftest import ROOT, plain, tiny, xnas


def test_a_search_ends_with_a_table_and_the_next_commands(finished):
    run, done = finished
    assert "test accuracy" in done.stdout and "nor_conv" in done.stdout
    for command in ("xnas-tf pareto", "xnas-tf export", "tensorboard --logdir"):
        assert command in done.stderr
    files = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert files == {"config.yaml", "run.sqlite", "models", "tensorboard"}


def test_pareto_json_has_the_promised_form(finished):
    run, _ = finished
    data = json.loads(xnas("pareto", run, "--format", "json", "--all", cwd=run).stdout)
    assert data["run"] == str(run)
    assert data["objectives"] == [
        {"name": "error", "direction": "minimize"},
        {"name": "introspectability", "direction": "maximize"},
    ]
    assert len(data["candidates"]) == 4
    assert {"id", "genotype", "hyperparameters", "objectives", "metrics", "parents"} <= set(
        data["candidates"][0]
    )
    flags = [candidate["pareto"] for candidate in data["candidates"]]
    assert flags == sorted(flags, reverse=True) and any(flags)
    front = json.loads(xnas("pareto", run, "--format", "json", cwd=run).stdout)["candidates"]
    assert [c["id"] for c in front] == [c["id"] for c in data["candidates"] if c["pareto"]]
    assert all("test_accuracy" in c["metrics"] for c in front)
    assert data["why"] and data["recommended"] == xt.load_run(run).best.id
    marked = [c["id"] for c in data["candidates"] if c["recommended"]]
    assert marked == [data["recommended"]]


def test_pareto_csv_and_plot(finished, tmp_path):
    run, _ = finished
    done = xnas("pareto", run, "--format", "csv", "--plot", tmp_path / "front.png", cwd=tmp_path)
    header, *rows = done.stdout.splitlines()
    assert header.startswith("id,pareto,generation,parents,genotype,error,introspectability")
    assert rows and (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_status_counts(finished):
    run, _ = finished
    status = json.loads(xnas("status", run, "--format", "json", cwd=run).stdout)
    assert (status["done"], status["failed"], status["running"]) == (4, 0, 0)
    assert status["seconds_left"] == 0 and status["per_hour"] > 0 and not status["searching"]
    assert "finished" in xnas("status", run, cwd=run).stdout


def test_the_same_command_on_a_finished_run_trains_nothing(finished):
    run, _ = finished
    before = xt.load_run(run).candidates()
    xnas("search", *tiny(), "--run-dir", run, cwd=run.parent)
    assert xt.load_run(run).candidates() == before


@pytest.mark.long
def test_the_same_seed_gives_identical_values(finished, tmp_path):
    run, _ = finished
    xnas("search", *tiny(), "--run-dir", tmp_path / "again", cwd=tmp_path)
    first, again = (xt.load_run(r).candidates() for r in (run, tmp_path / "again"))
    for one, other in zip(first, again, strict=True):
        assert (one.genotype, one.seed, one.parents) == (other.genotype, other.seed, other.parents)
        assert one.objectives == other.objectives and one.history == other.history


def test_a_changed_configuration_is_refused_and_fresh_moves_aside(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    done = xnas("search", *tiny("training.epochs=2"), "--run-dir", run, cwd=tmp_path, code=2)
    assert "training.epochs: 1 -> 2" in done.stderr and "--fresh" in done.stderr
    more = tiny("search.candidates=2")
    xnas("search", *more, "--run-dir", run, "--fresh", cwd=tmp_path)
    assert len(xt.load_run(run).candidates()) == 2
    assert len(xt.load_run(tmp_path / "run.1").candidates()) == 4


def test_python_api(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides = [w for w in tiny("search.candidates=2") if w != "--set"]
    run = xt.search(overrides=overrides, run_dir="run")
    assert run.best == run.candidate(run.recommendation().id)
    assert run.best.load_model().output_shape == (None, 10)
    assert callable(xt.search) and callable(xt.export)


def test_users_hypermodel_runs_end_to_end(tmp_path):
    words = ["--set", "search={candidates: 3, population: 2}", "--set", "training.epochs=1"]
    config = ROOT / "configs/hypermodel.yaml"
    xnas("search", config, *words, "--run-dir", tmp_path / "run", cwd=ROOT)
    candidates = xt.load_run(tmp_path / "run").candidates()
    done = [c for c in candidates if c.state == "done"]
    assert len(done) == 3 and all(c.objectives["parameters"] <= 50_000 for c in done)
    assert all("learning_rate" in c.hyperparameters for c in done)


BROKEN = textwrap.dedent("""
    import keras, keras_tuner
    def build(hp):
        if hp.Choice("mood", ["good", "bad", "worse"]) != "good":
            raise ValueError("not in the mood")
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(hp.Int("filters", 1, 4), 3)(inputs)
        x = keras.layers.Flatten()(x)
        return keras.Model(inputs, keras.layers.Dense(10)(x))
""")


def test_failing_candidates_are_recorded_and_the_search_goes_on(tmp_path):
    (tmp_path / "moody.py").write_text(BROKEN)
    more = ["space={hypermodel: 'moody:build'}", "search={candidates: 9, population: 4}"]
    more.append("objectives=[error, parameters]")
    done = xnas("search", *tiny(*more), "--run-dir", "run", cwd=tmp_path)
    assert "not in the mood" in done.stderr
    status = json.loads(xnas("status", "run", "--format", "json", cwd=tmp_path).stdout)
    assert status["done"] + status["failed"] == 9 and status["failed"] > 0
    failed = [c for c in xt.load_run(tmp_path / "run").candidates() if c.state == "failed"]
    assert all("ValueError: not in the mood (moody.py:5)" in c.reason for c in failed)
    xnas("export", "run", "--candidate", "best", cwd=tmp_path)  # a model that ends in logits


def test_when_everything_fails_the_reason_is_given(tmp_path):
    words = plain(tmp_path, "training.learning_rate=1e38")
    done = xnas("search", *words, "--run-dir", "run", cwd=tmp_path, code=1)
    assert "no candidate can be recommended: of 4, 4 failed" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "dataset=npz:none.npz"], "no such file"),
        (["--run-dir", "/proc/nowhere"], "cannot be written"),
        (["nothing.yaml"], "no configuration file"),
    ],
)
def test_bad_input_ends_with_2_and_one_message(words, message, tmp_path):
    done = xnas("search", *tiny(), *words, cwd=tmp_path, code=2)
    assert message in done.stderr and done.stderr.count("xnas-tf:") == 1


TINY = textwrap.dedent("""
    import keras
    def build(hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(hp.Int("filters", 1, {most}), 3)(inputs)
        return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
""")


@pytest.mark.parametrize("surrogate", ["true", "false"])
def test_a_space_that_is_exhausted_ends_the_search(surrogate, tmp_path):
    (tmp_path / "few.py").write_text(TINY.format(most=3))
    more = ["space={hypermodel: 'few:build'}", f"search={{surrogate: {surrogate}}}"]
    done = xnas("search", *tiny(*more), "--run-dir", "run", cwd=tmp_path)
    assert "the search space is exhausted" in done.stderr
    found = xt.load_run(tmp_path / "run").candidates()
    assert sorted(c.hyperparameters["filters"] for c in found) == [1, 2, 3]


def test_a_space_of_one_value_and_one_without_feasible_networks_are_said(tmp_path):
    (tmp_path / "few.py").write_text(TINY.format(most=1))
    words = tiny("space={hypermodel: 'few:build'}")
    done = xnas("search", *words, cwd=tmp_path, code=2)
    assert "no hyperparameter has two or more values" in done.stderr
    (tmp_path / "few.py").write_text(TINY.format(most=3))
    limit = ["--set", "constraints={parameters: '<= 5'}"]
    done = xnas("search", *words, *limit, cwd=tmp_path, code=1)
    assert "no candidate can be recommended: of 3, 3 infeasible" in done.stderr
    assert "wanted: <= 5" in done.stderr
