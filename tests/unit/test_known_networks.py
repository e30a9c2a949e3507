"""Networks that are known are not trained again, however often the search is killed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_conductor import Groups, Killed, candidates, search_of
from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.execution import stopping as limits
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.execution.result_cache import FLIPS, ResultCache, earlier_runs
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import model_path, open_database
from xnas_tf.strategy.pareto import Front

WORDS = ["objectives=[error, parameters]", "training.epochs=1", "search.population=6"]


def configuration(*more):
    return load_config(overrides=[*WORDS, *more])


class Networks(Groups):
    """Groups that build a network of the first edges alone, and ask whether it is known."""

    edges = 3  # of six: 125 networks

    def __init__(self, path, config, steady_state=False, count=1, seed=0):
        super().__init__(path, config, steady_state, count, np.random.default_rng(seed))

    def coordinator(self, record):
        networks = ResultCache(earlier_runs(self.config, self.path, {}))
        algorithm = search_of(self.config, self.steady)
        return Coordinator(self.path, self.config, record, algorithm, networks=networks)

    def begin(self, coordinator, task):
        digest = "+".join(list(task.hyperparameters.values())[: self.edges])
        return coordinator.known(task, Result(digest=digest)) or result(digest)

    def end(self, coordinator, task, result):
        is_trained = result.state == "done" and not result.reused_from
        if is_trained and coordinator.wants_model(task, result):
            coordinator.save_model(task, result.digest.encode())
        super().end(coordinator, task, result)


def result(digest):
    """What a training of a network finds; the same each time, unlike a real one."""
    error, parameters, luck = np.random.default_rng([*digest.encode()]).random(3).tolist()
    if luck < 0.1:
        return Result("failed", "the loss became nan in epoch 1", digest=digest)
    objectives = {"error": error, "parameters": parameters}
    return Result("done", objectives=objectives, digest=digest)


def facts(path, config):
    """All that is recorded of candidates, except when."""
    same = {"started": "", "finished": "", "group": 0, "seconds": {}}
    return [replace(c, **same) for c in candidates(path, config)]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    path = tmp_path_factory.mktemp("earlier") / "run"
    Networks(path, configuration("search.candidates=25", "search.seed=7")).run()
    return path


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 60), max_size=4), st.integers(0, 9))
@pytest.mark.long
def test_a_search_that_is_killed_finds_what_an_uninterrupted_one_does(
    tmp_path_factory, earlier, kills, seed
):
    config = configuration(
        "search.candidates=30", f"search.reuse=[{earlier}]", f"search.seed={seed}"
    )
    whole, cut = (tmp_path_factory.mktemp("run") / name for name in ("whole", "cut"))
    Networks(whole, config).run()
    for steps in kills:
        try:
            Networks(cut, config).run(steps)
        except Killed:
            pass
    Networks(cut, config).run()
    found = facts(whole, config)
    assert found == facts(cut, config)
    assert {"duplicate", "done", "failed"} == {c.state for c in found}
    assert any(c.reused_from for c in found) and sum(c.trained for c in found) == 30


@settings(deadline=None, max_examples=3)
@given(
    st.integers(1, 9), st.booleans(), st.lists(st.integers(1, 60), max_size=3), st.integers(0, 99)
)
def test_no_group_trains_what_is_known(tmp_path_factory, earlier, count, steady_state, kills, seed):
    path = tmp_path_factory.mktemp("run") / "run"
    config = configuration("search.candidates=30", f"search.reuse=[{earlier}]")
    for steps in [*kills, 10**9]:
        try:
            Networks(path, config, steady_state, count, seed).run(steps)
        except Killed:
            pass
    run, before = Run(path), {c.digest: c for c in Run(earlier).candidates() if c.state == "done"}
    ended = sorted(run.candidates(), key=lambda c: c.finish_order)
    assert sum(c.trained for c in ended) == 30
    for c in ended:
        if c.reused_from:
            known = before[c.digest]
            assert c.reused_from == f"candidate {known.id} of {earlier}"
            assert (c.objectives, c.history) == (known.objectives, known.history)
            assert (c.seed, c.versions) == (known.seed, known.versions)
        elif c.state == "duplicate":
            first = run.candidate(int(c.reason.removeprefix("the same network as candidate ")))
            assert (first.digest, first.state) == (c.digest, "done")
            assert first.finish_order < c.finish_order
        elif c.trained and c.digest in before:  # it was Pareto-optimal here, and was not there
            assert before[c.digest].model_path is None
            front = Front(config)
            for other in ended[: ended.index(c)]:
                front.add(other)
            assert (c.model_path is not None) == front.wants(
                c
            )  # another group may have been better
    done = [c.digest for c in ended if c.state == "done"]
    assert len(done) - len(set(done)) < count  # what others are training is not known yet
    assert all(c.model_path.read_bytes() == c.digest.encode() for c in run.pareto())


def test_a_run_that_is_repeated_trains_nothing_but_what_is_new(tmp_path, earlier):
    """The same seed asks for the same: what is answered makes up generations as before."""
    config = configuration("search.candidates=10", "search.seed=7", f"search.reuse=[{earlier}]")
    Networks(tmp_path / "run", config).run()
    old, new = Run(earlier).candidates(), Run(tmp_path / "run").candidates()
    common = [(c.genotype, c.parents, c.generation, c.state, c.objectives) for c in old]
    again = [(c.genotype, c.parents, c.generation, c.state, c.objectives) for c in new]
    assert again[: len(old)] == common
    failed = [c for c in old if c.state == "failed"]  # they get another chance
    assert [c.id for c in new if c.trained][: len(failed)] == [c.id for c in failed]
    assert sum(c.trained for c in new) == 10


@pytest.mark.long
def test_a_search_in_which_nothing_is_left_to_train_ends(tmp_path, monkeypatch):
    class Few(Networks):
        edges = 1

    monkeypatch.setattr(limits, "PATIENCE", 100)
    first, second = tmp_path / "first", tmp_path / "second"
    Few(first, configuration()).run()
    Few(second, configuration(f"search.reuse=[{first}]")).run()
    for path, trained in ((first, 5), (second, 0)):
        found = Run(path).candidates()
        assert [c.state for c in found[-100:]] == ["duplicate"] * 100
        assert sum(c.trained for c in found) == trained
        assert sum(c.state == "done" for c in found) == 5
        assert "infeasible or known networks" in Run(path).fact("ended_because")
        assert all(c.model_path for c in Run(path).pareto())
    status = status_text(run_status(Run(second)))
    assert "trained          0 of 16 (0 done, 0 failed)" in status
    assert f"({len(found) - 5} duplicates, 5 reused from earlier runs)" in status


def test_a_run_goes_on_without_the_runs_that_answered(tmp_path):
    """What they answered is recorded."""
    first, second = tmp_path / "first", tmp_path / "second"
    Networks(first, configuration("search.candidates=25")).run()
    with pytest.raises(Killed):
        Networks(second, configuration(f"search.reuse=[{first}]")).run(30)
    shutil.rmtree(first)
    before = [c for c in facts(second, configuration()) if c.finish_order]
    assert any(c.reused_from for c in before)
    Networks(second, configuration()).run()
    found = facts(second, configuration())
    assert found[: len(before)] == before and sum(c.trained for c in found) == 16
    assert all(c.model_path for c in Run(second).pareto())


def test_networks_are_the_same_only_at_the_same_fidelity():
    networks, wanted = ResultCache(), Candidate(2, "b", {}, epochs=3)
    costs = Result(digest="d", objectives={"parameters": 6.0})
    ended = Candidate(1, "a", {}, digest="d", epochs=1, state="done")
    for candidate, state in ((ended, "done"), (replace(ended, id=3, epochs=3), "failed")):
        networks.update(replace(candidate, state=state))
        assert networks.answer(wanted, costs, None, None) is None
    networks.update(replace(ended, id=4, epochs=3))
    answer = networks.answer(wanted, costs, None, None)
    assert answer == replace(costs, state="duplicate", reason="the same network as candidate 4")


def test_figures_of_the_test_part_are_not_taken_over_and_costs_are_those_here(tmp_path):
    config = configuration()
    record = open_database(tmp_path / "run", config)
    known = {"error": 0.1, "parameters": 5.0}
    metrics = {"val_loss": 0.5, "test_accuracy": 0.9, "test_error": 0.1}
    record.save(
        Candidate(
            1,
            "a",
            {},
            epochs=1,
            digest="d",
            state="done",
            objectives=known,
            metrics=metrics,
            seed=7,
            versions={"keras": "3.1"},
        )
    )
    record.close()
    networks = ResultCache([Run(tmp_path / "run")])
    costs = Result(digest="d", objectives={"parameters": 6.0}, metrics={"flops": 7.0})
    wanted = Candidate(5, "b", {}, epochs=1), costs
    answer = networks.answer(*wanted, lambda candidate: False, None)
    reused = replace(wanted[0], seed=1, versions={"keras": "3.2"}).with_result(answer)
    assert (reused.seed, reused.versions) == (7, {"keras": "3.1"})
    assert replace(reused, seed=1).with_result(costs).seed == 1  # of a training here
    assert answer.metrics == {"val_loss": 0.5, "flops": 7.0}
    assert answer.objectives == {"error": 0.1, "parameters": 6.0}
    assert networks.answer(*wanted, lambda candidate: True, None) is None
    kept = []
    model_path(tmp_path / "run", 1).write_bytes(b"model")
    networks = ResultCache([Run(tmp_path / "run")])
    assert networks.answer(*wanted, lambda candidate: True, kept.append) == answer
    assert kept == [b"model"]
    shutil.rmtree(tmp_path / "run")
    assert networks.answer(*wanted, lambda candidate: True, kept.append) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("training.epochs=2", "training.epochs: 1 there, here 2"),
        ("dataset.seed=4", "dataset.seed: 0 there, here 4"),
        ("objectives=[error, {name: latency, repeats: 7}]", "objectives.parameters.name"),
        ("constraints={deletion: '<= 0.5'}", "constraints.deletion: not measured there"),
        ("search.reuse=[nowhere]", "search.reuse: nowhere is not a run: it does not exist"),
        ("search.reuse=[HERE/run]", "is this run, whose own"),
        ("training.optimizer=adam", "training.optimizer: 'sgd' there, here 'adam'"),
        ("training.jit_compile=true", "training.jit_compile: False there, here True"),
        ("training.keep=best", "training.keep: 'last' there, here 'best'"),
        ("training.warmup_epochs=0.5", "training.warmup_epochs: 0.0 there, here 0.5"),
    ],
)
def test_results_that_mean_something_else_are_refused(tmp_path, earlier, more, message):
    words = [f"search.reuse=[{earlier}]", more.replace("HERE", str(tmp_path))]
    with pytest.raises(InputError, match="search.reuse: ") as raised:
        earlier_runs(configuration(*words), tmp_path / "run", {})
    assert message in str(raised.value)


def test_what_makes_no_difference_is_not_refused(tmp_path, earlier):
    more = ["training.checkpoint_minutes=3", "constraints={flops: '<= 1'}", "search.seed=3"]
    config = configuration(*more, f"search.reuse=[{earlier}]", "search.algorithm=random")
    assert [run.path for run in earlier_runs(config, tmp_path / "run", {})] == [earlier]


def test_other_images_of_the_same_name_are_refused(tmp_path):
    config = configuration(f"search.reuse=[{tmp_path / 'run'}]")
    record = open_database(tmp_path / "run", configuration())
    record.set_fact("dataset", {"digest": "one"})
    record.close()
    assert earlier_runs(config, tmp_path / "new", {"digest": "one"})
    with pytest.raises(InputError, match="images.digest: 'one' there, here 'other'"):
        earlier_runs(config, tmp_path / "new", {"digest": "other"})


def test_flipped_images_are_other_data(tmp_path):
    config = configuration(f"search.reuse=[{tmp_path / 'run'}]")
    record = open_database(tmp_path / "run", configuration())
    assert earlier_runs(config, tmp_path / "new", {}, flips=True)  # unknown in earlier versions
    record.set_fact(FLIPS, False)
    record.close()
    assert earlier_runs(config, tmp_path / "new", {}, flips=False)
    with pytest.raises(InputError, match="random flips: False there, here True"):
        earlier_runs(config, tmp_path / "new", {}, flips=True)


def test_test_metrics_of_all_candidates_are_taken_over():
    known = Candidate(1, "a", {}, digest="d", state="done", epochs=1)
    known.metrics = {"test_loss": 0.25, "test_accuracy": 0.9, "test_error": 0.1}

    class Earlier:
        path = "earlier"

        def candidates(self):
            return [known]

    wanted = Candidate(5, "b", {}, epochs=1), Result(digest="d")
    answer = ResultCache([Earlier()]).answer(*wanted, lambda candidate: False, None)
    assert answer.metrics == known.metrics
