"""What a search logs to MLflow, in its file store, and to Weights & Biases, offline.

And what these callbacks, like every other, must bear: here, so that one worker imports MLflow.
"""

import json
import struct
from contextlib import suppress
from types import SimpleNamespace

import pytest

import xnas_tf as xt
from tests.unit.test_callbacks import Events, Killed, search
from tests.unit.test_conductor import candidates, configuration
from xnas_tf.config.callbacks import CALLBACKS
from xnas_tf.errors import InputError
from xnas_tf.reporting.trackers import base
from xnas_tf.reporting.trackers.mlflow_tracker import CANDIDATE, STATE, _name
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import model_path, open_database


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """A callback for a file store, and its client."""
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file:{tmp_path}/mlruns"
    callback = CALLBACKS.get("mlflow")
    return SimpleNamespace(
        create=lambda: callback(experiment="tests", tracking_uri=uri), client=MlflowClient(uri)
    )


def logged(client):
    """The run of the search, and those of its candidates by id."""
    (experiment,) = client.search_experiments(filter_string="name = 'tests'")
    runs = client.search_runs([experiment.experiment_id])
    (of_search,) = [run for run in runs if CANDIDATE not in run.data.tags]
    nested = [run for run in runs if run is not of_search]
    for run in nested:
        assert run.data.tags["mlflow.parentRunId"] == of_search.info.run_id
    by_id = {int(run.data.tags[CANDIDATE]): run for run in nested}
    assert len(by_id) == len(nested)
    return of_search, by_id


def test_mlflow_has_a_run_for_the_search_and_a_nested_one_for_each_candidate(tmp_path, mlflow):
    path = tmp_path / "run"
    open_database(path, configuration()).close()
    for number in range(1, 40):
        model_path(path, number).write_bytes(b"a model")
    search(path, mlflow.create(), candidates=8)
    of_search, nested = logged(mlflow.client)
    run, known = Run(path), {c.id: c for c in candidates(path, configuration())}
    assert set(nested) == set(known)
    for number, candidate in known.items():
        each = nested[number]
        assert each.info.status == ("FAILED" if candidate.state == "failed" else "FINISHED")
        assert each.data.tags[STATE] == candidate.state
        assert each.data.params["genotype"] == candidate.genotype
        expected = {**candidate.objectives, **candidate.metrics}
        assert expected.items() <= each.data.metrics.items()
        assert each.data.metrics["seconds/total"] == candidate.seconds_total
    assert of_search.info.status == "FINISHED" and of_search.info.run_name == "run"
    assert of_search.data.metrics["front/hypervolume"] == pytest.approx(run.hypervolume())
    assert of_search.data.metrics["front/size"] == len(run.pareto())
    assert of_search.data.tags["xnas_tf.recommended"] == str(run.best.id)
    number = of_search.info.run_id
    files = {file.path for file in mlflow.client.list_artifacts(number)}
    assert files == {"config.yaml", "front.png", "model"}
    (model,) = mlflow.client.list_artifacts(number, "model")
    assert model.path == f"model/{run.best.model_path.name}"


def test_a_resumed_search_continues_the_same_mlflow_run(tmp_path, mlflow):
    with pytest.raises(Killed):
        search(tmp_path / "run", mlflow.create(), steps=5)
    before, nested = logged(mlflow.client)
    assert before.info.status == "FAILED" and len(nested) == 5
    # killed while it logged the last one
    mlflow.client.update_run(nested[max(nested)].info.run_id, "RUNNING")
    search(tmp_path / "run", mlflow.create())
    after, nested = logged(mlflow.client)
    assert after.info.run_id == before.info.run_id and after.info.status == "FINISHED"
    assert set(nested) == {c.id for c in candidates(tmp_path / "run", configuration())}
    assert {run.info.status for run in nested.values()} <= {"FINISHED", "FAILED"}


def test_a_deleted_mlflow_run_is_logged_anew(tmp_path, mlflow):
    search(tmp_path / "run", mlflow.create(), candidates=6)
    of_search, nested = logged(mlflow.client)
    mlflow.client.delete_run(of_search.info.run_id)
    for run in nested.values():
        mlflow.client.delete_run(run.info.run_id)
    search(tmp_path / "run", mlflow.create(), candidates=6)
    again, repeated = logged(mlflow.client)
    assert set(repeated) == set(nested) and again.info.run_id != of_search.info.run_id


def test_what_a_server_did_not_take_is_logged_at_the_end(tmp_path, mlflow, monkeypatch):
    callback, heard, calls = mlflow.create(), Events(), []
    log = type(callback)._log_candidate

    def fails_at_first(self, candidate):
        calls.append(candidate.id)
        if len(calls) < 4:
            raise ConnectionError("no server")
        log(self, candidate)

    monkeypatch.setattr(type(callback), "_log_candidate", fails_at_first)
    search(tmp_path / "run", callback, heard, candidates=6)
    _, nested = logged(mlflow.client)
    assert set(nested) == {c.id for c in Run(tmp_path / "run")}
    assert [text.partition(" (")[0] for text in heard.messages] == [
        "MLflow failed: ConnectionError: no server"
    ]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("introspectability/grad_cam", "introspectability.grad_cam"),
        ("epoch/val_loss", "epoch/val_loss"),
        ("epoch/../x", "epoch/x"),
        ("Conv 1: 3×3 #1 50%d [x]", "Conv 1. 3.3 .1 50.d .x"),
        ("../..", "_"),
    ],
)
def test_names_are_such_as_mlflow_takes(given, name):
    validation = pytest.importorskip("mlflow.utils.validation")
    assert _name(given) == name
    validation._validate_metric_name(name)
    validation._validate_param_name(name)


@pytest.mark.parametrize("name", CALLBACKS.names())
def test_a_missing_package_is_named_with_what_installs_it(name, monkeypatch):
    monkeypatch.setattr(base, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"not installed: pip install 'xnas-tf\[{name}\]'"):
        CALLBACKS.get(name)()


def records(file):
    """The records of a file of Weights & Biases: a log of LevelDB after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, record = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield Record.FromString(record)
            record = b""


@pytest.mark.long
def test_wandb_has_a_group_with_a_run_for_the_search_and_one_for_each_candidate(tmp_path):
    pytest.importorskip("wandb")
    path = tmp_path / "run"
    for steps in (2, 10**9):
        callback = CALLBACKS.get("wandb")(project="tests", mode="offline")
        try:
            search(path, callback, candidates=4, steps=steps)
        except Killed:
            pass
    known = candidates(path, configuration())
    group = json.loads((path / "wandb.json").read_text())["id"]
    files = {file.stem.removeprefix("run-"): file for file in path.glob("wandb/*/run-*.wandb")}
    assert set(files) == {group, *(f"{group}-{c.id}" for c in known)}
    for candidate in known:
        found = list(records(files[f"{group}-{candidate.id}"]))
        (run,) = [r.run for r in found if r.WhichOneof("record_type") == "run"]
        assert (run.run_group, run.job_type, run.project) == (group, "candidate", "tests")
        config = {each.key: json.loads(each.value_json) for each in run.config.update}
        assert config["genotype"] == candidate.genotype
        summary = {
            each.key or each.nested_key[0]: json.loads(each.value_json)
            for r in found
            for each in r.summary.update
        }
        assert summary["state"] == candidate.state
        assert candidate.objectives.items() <= summary.items()
    assert len(list(path.glob(f"wandb/*-{group}/files/media/table/*.json"))) == 1
    assert len(list(path.glob(f"wandb/*-{group}/files/media/images/*.png"))) == 1


# What every callback must bear

METHODS = [name for name in vars(xt.Callback) if name.startswith("on_")]
LONG = {"wandb"}  # it writes each run with a program of its own


def of_package(name):
    return pytest.param(name, marks=pytest.mark.long if name in LONG else ())


@pytest.fixture(params=["callback", "user", *map(of_package, CALLBACKS.names())])
def any_callback(request, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("WANDB_MODE", "offline")
    if request.param in ("callback", "user"):
        return {"callback": xt.Callback, "user": Events}[request.param]
    pytest.importorskip(request.param)
    return CALLBACKS.get(request.param)


def test_every_callback_bears_any_end_and_is_resumed(any_callback, tmp_path):
    """Also when the run has no candidate yet, or has ended before."""
    heard = Events()
    ends = iter([Killed(), KeyboardInterrupt(), None, None])
    for end, after in zip(ends, (0, 1, 4, 4), strict=True):

        def stop(coordinator, end=end, after=after):
            if end and coordinator._results > after:
                raise end

        with suppress(Killed, KeyboardInterrupt):
            search(tmp_path / "run", any_callback(), heard, candidates=4, between=stop)
        assert heard.events[-1] == ("search ends", end)
    assert not [text for text in heard.messages if "failed" in text]


def test_every_callback_has_the_methods_of_the_base_class(any_callback):
    for name in METHODS:
        base, own = getattr(xt.Callback, name), getattr(any_callback, name)
        assert (
            base.__code__.co_varnames[: base.__code__.co_argcount]
            == (own.__code__.co_varnames[: own.__code__.co_argcount])
        )
    assert not [n for n in vars(any_callback) if n.startswith("on_") and n not in METHODS]
