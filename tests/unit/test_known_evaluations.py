"""What an evaluation does about a network that is known, and what it is known by."""

from dataclasses import replace
from functools import cache

import keras
import keras_tuner
import pytest

from tests.datasets import make_dataset
from tests.ranks import on_ranks
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.evaluation_hash import evaluation_digest
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.keras_tools.model_hash import network_digest
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback
from xnas_tf.training.trainer import Trainer

SHAPE = (8, 8, 1)
OPTIONS = HyperModelOptions(hypermodel="a:B")
VALUES = {"idle": False, "filters": 2}


class Idle(keras_tuner.HyperModel):
    """One of its hyperparameters has no effect."""

    layer = keras.layers.Flatten

    def build(self, hp):
        hp.Boolean("idle")
        inputs = keras.Input(SHAPE)
        x = self.layer()(keras.layers.Conv2D(hp.Int("filters", 1, 3), 3)(inputs))
        return keras.Model(inputs, keras.layers.Dense(3)(x))


class Named(Idle):
    """Knows of a difference that the graph does not show."""

    def identity(self, values):
        return f"{values['idle']}"


def local_layer():
    class Local(keras.layers.Flatten):
        pass

    return Local


class Opaque(Idle):
    """Its graph cannot be read."""

    layer = local_layer()


def digest(hypermodel, options=OPTIONS, **values):
    space = SearchSpace(hypermodel, SHAPE, 3)
    values = {**VALUES, **values}
    return evaluation_digest(space.build(values), options, space, values)


def test_a_network_is_known_by_its_graph():
    plain = digest(Idle())
    assert plain == digest(Idle(), idle=True) != digest(Idle(), filters=3)
    assert plain == network_digest(SearchSpace(Idle(), SHAPE, 3).build(VALUES))


@pytest.mark.long
def test_an_identity_tells_more():
    assert digest(Named()) == digest(Named())
    assert len({digest(Named()), digest(Named(), idle=True), digest(Named(), filters=3)}) == 3


@pytest.mark.long
def test_what_cannot_be_read_is_known_by_its_genotype_and_options():
    plain, other = digest(Opaque()), HyperModelOptions(hypermodel="a:C")
    assert plain == digest(Opaque()) and plain.startswith("genotype:")
    assert len({plain, digest(Opaque(), idle=True), digest(Opaque(), other)}) == 3


class Knows(EvaluationCallback):
    """Knows every network, or fails to say; ``answer`` has fields of the result."""

    def __init__(self, answer):
        self.answer, self.heard = answer, []

    def known(self, result):
        self.heard.append((result.digest, result.objectives))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer and replace(result, **self.answer)


@cache
def idle_space():
    return SearchSpace(Idle(), SHAPE, 3)


def evaluator(communicator=None, *more):
    base = ["training={epochs: 1, batch_size: 20}", "objectives=[error, parameters]"]
    config = load_config(overrides=[*base, *more])
    return Evaluator(config, make_dataset(), idle_space(), communicator or SingleProcess())


CANDIDATE = Candidate(1, "g", VALUES, seed=1, epochs=1)
TAKEN = {
    "state": "done",
    "objectives": {"error": 0.25, "parameters": 7.0},
    "history": [{"loss": 0.5}],
    "reused_from": "candidate 3 of runs/first",
}


def test_a_known_network_is_neither_trained_nor_kept(monkeypatch):
    monkeypatch.setattr(Trainer, "run_epoch", lambda *_: pytest.fail("it was trained"))
    callback, judge = Knows(TAKEN), evaluator()
    result = judge.evaluate(CANDIDATE, lambda *_: pytest.fail("it was kept"), callback)
    assert {name: getattr(result, name) for name in TAKEN} == TAKEN
    ((known_by, costs),) = callback.heard
    assert known_by == result.digest == digest(Idle()) and set(costs) == {"parameters"}
    assert result.seconds["build"] > 0 and "train" not in result.seconds
    same = judge.evaluate(CANDIDATE, None, Knows({"state": "duplicate", "reason": "the same"}))
    assert (same.state, same.reason, same.digest) == ("duplicate", "the same", result.digest)


def test_what_breaks_a_limit_is_infeasible_whether_it_is_known_or_not():
    callback = Knows(TAKEN)
    result = evaluator(None, "constraints.parameters='<= 1'").evaluate(CANDIDATE, None, callback)
    assert result.state == "infeasible" and result.digest and not callback.heard


def test_what_is_new_is_trained_and_recorded_with_its_digest():
    result = evaluator().evaluate(CANDIDATE, None, Knows(None))
    assert (result.state, result.digest, result.reused_from) == ("done", digest(Idle()), "")
    assert result.failed("later").digest == result.digest


def test_all_ranks_take_over_what_the_leader_hears():
    callbacks = Knows(TAKEN), Knows(None)

    def work(communicator):
        result = evaluator(communicator).evaluate(CANDIDATE, None, callbacks[communicator.rank])
        return result.state, result.reused_from

    assert on_ranks(2, work) == [("done", TAKEN["reused_from"])] * 2
    assert not callbacks[1].heard


def test_a_dead_rank_0_is_no_failure_of_the_candidate():
    with pytest.raises(OSError, match="gone"):
        evaluator().evaluate(CANDIDATE, None, Knows(OSError("gone")))
