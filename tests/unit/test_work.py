"""What a rank does with a candidate, and with signals, hangs and failures, without training."""

import numpy as np
import pytest

from xnas_tf.distributed import Group, SingleProcess
from xnas_tf.errors import RunError
from xnas_tf.evaluation.outcome import Outcome
from xnas_tf.evaluation.supervision import Interrupted
from xnas_tf.run.watch import Watch
from xnas_tf.run.work import Worker


class Source:
    """Hands out a list of replies and notes what it is told."""

    def __init__(self, *replies, met=True):
        self.replies, self.met = list(replies), met
        self.code = 0
        self.told, self.models, self.checkpoints, self.meetings = [], {}, {}, []

    def next(self, group=0, told=None):
        if told:
            self.tell(*told)
        return self.replies.pop(0)

    def known(self, number, outcome):
        return {"state": "done", "answered_by": outcome["digest"]}

    def wants_model(self, number, outcome):
        return outcome["objectives"]["error"] < 0.5

    def keep_model(self, number, data):
        self.models[number] = data

    def keep_checkpoint(self, number, data):
        self.checkpoints[number] = data

    def checkpoint(self, number):
        return self.checkpoints.get(number, b"")

    def tell(self, number, outcome):
        self.told.append((number, outcome["state"], outcome["reason"]))

    def stopping(self):
        return self.code

    def meet(self, name, count):
        self.meetings.append((name, count))
        return self.met


class Evaluator:
    """Does what it is told with each candidate, and calls that an evaluation."""

    def __init__(self, *acts):
        self.acts = list(acts)

    def evaluate(self, candidate, keep=None, supervisor=None):
        return self.acts.pop(0)(candidate, keep, supervisor)


def done(candidate, keep, supervisor):
    supervisor.beat()
    return Outcome("done", objectives={"error": 0.9})


def task(number):
    return {"task": {"id": number, "genotype": f"g{number}", "hyperparameters": {}, "seed": 1}}


OVER = {"over": True}


class Member(SingleProcess):
    """A rank that does not lead its group of two."""

    rank, size = 1, 2

    def broadcast(self, message=None):
        return OVER if message is None else message


def worker(source, evaluator, ranks=None, minutes=1e-9):
    watch = Watch(60)
    return Worker(evaluator, Group(0, 3, ranks or SingleProcess()), source, watch, minutes)


def test_a_group_works_until_nothing_is_left_and_waits_in_between():
    source = Source(task(1), {"wait": True}, {"wait": True}, task(2), OVER)
    failed = lambda *_: Outcome("failed", "the loss became nan")  # noqa: E731
    seconds = worker(source, Evaluator(done, failed)).run()
    assert source.told == [(1, "done", ""), (2, "failed", "the loss became nan")]
    assert len(seconds) == 1 and source.replies == []


def test_as_many_as_wanted_are_trained():
    source = Source(task(1), task(2), task(3))
    infeasible = lambda *_: Outcome("infeasible", "no path")  # noqa: E731
    worker(source, Evaluator(infeasible, done, done)).run(limit=1)
    assert [number for number, *_ in source.told] == [1, 2]


def test_what_is_known_counts_as_no_training():
    def known(candidate, keep, supervisor):
        outcome = Outcome(digest="candidate 3 of run")
        outcome.take(supervisor.known(outcome))
        assert (outcome.state, outcome.answered_by) == ("done", "candidate 3 of run")
        return outcome

    source = Source(task(1), task(2), task(3))
    assert len(worker(source, Evaluator(known, done, done)).run(limit=1)) == 1
    assert [number for number, *_ in source.told] == [1, 2]


def test_a_leader_decides_for_its_group_when_it_has_enough():
    working = worker(Source(), Evaluator(done, done), ranks=Member())
    heard = iter([task(1), task(2), OVER])  # the first could not be saved, which only it knows
    working.group.ranks.broadcast = lambda message=None: next(heard)
    assert len(working.run(limit=1)) == 2


def test_models_are_kept_that_the_search_wants():
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

    def of(error):
        def act(candidate, keep, supervisor):
            outcome = Outcome("done", objectives={"error": error})
            keep(outcome, model)
            return outcome

        return act

    source = Source(task(1), task(2), OVER)
    worker(source, Evaluator(of(0.1), of(0.9))).run()
    assert set(source.models) == {1} and source.models[1][:2] == b"PK"


def test_checkpoints_go_to_the_search_and_come_back():
    def act(candidate, keep, supervisor):
        assert supervisor.checkpoint() is None
        assert supervisor.wants_checkpoint()  # every 1e-9 minutes
        supervisor.keep_checkpoint(b"half")
        assert supervisor.checkpoint() == b"half"
        return Outcome("done")

    source = Source(task(1), OVER)
    worker(source, Evaluator(act)).run()
    assert source.checkpoints == {1: b"half"}


def test_checkpoints_are_wanted_in_time_only():
    def act(candidate, keep, supervisor):
        assert not supervisor.wants_checkpoint()
        return Outcome("done")

    worker(Source(task(1), OVER), Evaluator(act), minutes=60).run()


def test_a_signal_makes_a_leader_save_and_leave_with_the_others():
    source = Source(task(1), task(2))
    working = worker(source, None, minutes=60)

    def act(candidate, keep, supervisor):
        working.watch.stopping = 143
        assert supervisor.wants_checkpoint()
        supervisor.keep_checkpoint(b"half")
        supervisor.beat()
        pytest.fail("it went on")

    working.evaluator = Evaluator(act)
    with pytest.raises(Interrupted, match="SIGTERM") as raised:
        working.run()
    assert raised.value.exit_code == 143
    assert source.checkpoints == {1: b"half"} and source.meetings == [("leave", 3)]
    assert source.told == []


def interrupted(act):
    """A worker whose first evaluation is told to leave, and where it got its work from."""
    source = Source(task(1), task(2))
    working = worker(source, None, minutes=60)
    working.evaluator = Evaluator(lambda *arguments: act(working, *arguments))
    with pytest.raises(Interrupted):
        working.run()
    return working, source


def told_to_leave(working):
    working.source.code = 143
    working._asked = -9.0  # a second has passed


def test_a_leader_leaves_when_rank_0_was_told_to():
    def act(working, candidate, keep, supervisor):
        told_to_leave(working)
        supervisor.beat()
        pytest.fail("it went on")

    working, source = interrupted(act)
    assert source.meetings == [("leave", 3)] and working.watch.stopping == 143


def test_a_leader_saves_before_it_leaves_with_rank_0():
    def act(working, candidate, keep, supervisor):
        assert not supervisor.wants_checkpoint()
        told_to_leave(working)
        assert supervisor.wants_checkpoint()
        supervisor.keep_checkpoint(b"half")
        supervisor.beat()
        pytest.fail("it went on")

    _, source = interrupted(act)
    assert source.checkpoints == {1: b"half"}


def test_a_signal_lets_a_member_go_on_until_its_leader_is_gone():
    working = worker(Source(), None, ranks=Member())
    working.watch.stopping = 143

    class Gone(Member):
        def broadcast(self, message=None):
            raise ConnectionError("shut down")

    assert working.run() == []  # what the leader says counts
    working.group = Group(0, 3, Gone())
    with pytest.raises(Interrupted):
        working.run()
    working.watch.stopping = 0
    with pytest.raises(RunError, match="another rank is gone"):
        working.run()


@pytest.mark.parametrize("met", [True, False])
def test_a_failure_of_one_rank_alone_ends_the_job(met):
    def act(candidate, keep, supervisor):
        supervisor.failed("out of memory")
        return Outcome("failed", "out of memory")

    source = Source(task(1), OVER, met=met)
    if met:
        worker(source, Evaluator(act)).run()
    else:
        with pytest.raises(RunError, match="candidate 1 failed on rank 0 of group 0 alone"):
            worker(source, Evaluator(act)).run()
    assert source.told == [(1, "failed", "out of memory")]
    assert source.meetings == [("candidate 1 failed", 1)]


def test_figures_are_plain_enough_for_json():
    import json
    from dataclasses import asdict

    outcome = Outcome("done", objectives={"error": np.float64(0.5)})
    with outcome.seconds.timed("train"):
        pass
    assert json.loads(json.dumps(asdict(outcome)))["objectives"] == {"error": 0.5}


def test_what_a_users_measure_finds_is_plain_enough_for_json(monkeypatch):
    import json
    from dataclasses import asdict

    from xnas_tf.config import Config
    from xnas_tf.evaluation.scoring import Scorer
    from xnas_tf.objectives.base import Score

    scorer, outcome = Scorer(Config(), ("a", "b")), Outcome()
    for measure in scorer._measures:
        score = Score(np.float32(0.5), {"part": np.float32(0.25), "none": np.float32("nan")})
        monkeypatch.setattr(type(measure), "score", lambda *_, score=score: score)
    scorer.score(None, outcome, trained=True)
    found = json.loads(json.dumps(asdict(outcome), allow_nan=False))
    assert set(found["objectives"].values()) == {0.5} and found["metrics"] == {"part": 0.25}
