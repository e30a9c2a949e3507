"""Mixed precision and XLA where a trial is to choose."""

import threading

import keras
import keras_tuner
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_dataset, on_ranks
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation import modes as module
from xnas_tf.evaluation.modes import measure_modes
from xnas_tf.evaluation.open_modes import open_modes, with_modes
from xnas_tf.execution.job import Job
from xnas_tf.spaces.search_space import SearchSpace

BOTH = load_config(overrides=["training={mixed_precision: auto, jit_compile: auto}"])
seconds = st.floats(0.1, 100)


def way(training):
    return training.mixed_precision, training.jit_compile


def trial(monkeypatch, times, config=BOTH, world=None):
    """What is chosen if trainings take so long, by the way they are made."""
    tried = []

    def measured(training, dataset, space):
        assert "auto" not in way(training)
        tried.append(way(training))
        return times[way(training)]

    monkeypatch.setattr(module, "_seconds", measured)
    return measure_modes(config, None, None, world or SingleProcess()), tried


@given(st.lists(seconds, min_size=4, max_size=4))
def test_the_quickest_way_is_taken_if_it_is_clearly_quicker(several):
    times = dict(zip([(m, j) for m in (False, True) for j in (False, True)], several, strict=True))
    with pytest.MonkeyPatch.context() as monkeypatch:
        (chosen, why), tried = trial(monkeypatch, times)
    assert sorted(tried) == sorted(times)
    taken = times[chosen["mixed_precision"], chosen["jit_compile"]]
    plain = times[False, False]
    assert taken == (min(several) if min(several) <= 0.95 * plain else plain)
    assert "neither" in why and "mixed_precision and jit_compile" in why


def test_a_mode_that_is_given_stays(monkeypatch):
    config = load_config(overrides=["training={mixed_precision: true, jit_compile: auto}"])
    assert open_modes(config) == ["jit_compile"]
    (chosen, _), tried = trial(monkeypatch, {(True, False): 2.0, (True, True): 1.0}, config)
    assert chosen == {"jit_compile": True} and len(tried) == 2
    assert way(with_modes(config, chosen).training) == (True, True)


def test_the_slowest_rank_decides_for_all(monkeypatch):
    config = load_config(overrides=["training.jit_compile=auto"])
    times = [{False: 3.0, True: 1.0}, {False: 3.0, True: 4.0}]

    def rank(world):
        return measure_modes(config, None, world.rank, world)

    monkeypatch.setattr(module, "_seconds", lambda t, _, rank: times[rank][t.jit_compile])
    assert [chosen for chosen, _ in on_ranks(2, rank)] == [{"jit_compile": False}] * 2


def test_bfloat16_is_not_tried_where_a_gpu_lacks_it(monkeypatch):
    def refuse():
        raise InputError("too old")

    monkeypatch.setattr(module, "check_devices", refuse)
    (chosen, _), tried = trial(monkeypatch, {(False, False): 2.0, (False, True): 1.0})
    assert chosen == {"mixed_precision": False, "jit_compile": True} and len(tried) == 2


class Small(keras_tuner.HyperModel):
    """Pools and tells classes apart."""

    def build(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D(hp.Choice("pool", [2, 4]))(inputs))
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def test_a_real_trial_trains_the_default_network_in_each_way():
    space = SearchSpace(Small(), (8, 8, 1), 3)
    chosen, why = measure_modes(BOTH, make_dataset(), space, SingleProcess())
    assert chosen.keys() == {"mixed_precision", "jit_compile"}
    assert {*map(type, chosen.values())} == {bool} and why.count(" s") >= 4


def test_the_ranks_agree_on_what_is_tried_where_one_gpu_is_older(monkeypatch):
    ranks = threading.local()

    def refuse():
        if ranks.mine:
            raise InputError("too old")

    def rank(world):
        ranks.mine = world.rank
        return measure_modes(BOTH, None, None, world)[0]

    monkeypatch.setattr(module, "check_devices", refuse)
    monkeypatch.setattr(module, "_seconds", lambda t, *_: 1.0 if t.mixed_precision else 2.0)
    assert on_ranks(2, rank) == [{"mixed_precision": False, "jit_compile": False}] * 2


class Refusing(Small):
    """Cannot be compiled by XLA, and compiles itself."""

    def build(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Lambda(
            lambda x: x + tf.cast(tf.strings.length(tf.strings.as_string(x)), "float32")
        )
        hp.Choice("pool", [2, 4])
        outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x(inputs)))
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.RMSprop(0.01), "sparse_categorical_crossentropy")
        return model


def test_a_way_that_fails_is_not_taken():
    config = load_config(overrides=["training.jit_compile=auto"])
    space = SearchSpace(Refusing(), (8, 8, 1), 3)
    chosen, why = measure_modes(config, make_dataset(), space, SingleProcess())
    assert chosen == {"jit_compile": False} and "jit_compile fails" in why


class Session:
    """Rank 0's record of a run."""

    def __init__(self, known=None):
        self.known_modes = known
        self.noted = None
        self.told = []

    def note(self, text):
        self.told.append(text)

    def note_modes(self, modes, why):
        self.noted = modes


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose trial finds XLA quicker."""
    monkeypatch.setattr(
        "xnas_tf.evaluation.modes.measure_modes", lambda *_: ({"jit_compile": True}, "")
    )
    config = load_config(overrides=["training.jit_compile=auto"])

    def made(world):
        made = Job(tmp_path, config, world)
        made._dataset = made._space = None
        return made

    return made


@pytest.mark.parametrize(
    ("known", "shared", "chosen"),
    [(None, False, True), ({"jit_compile": False}, False, False), (None, True, False)],
)
def test_a_run_is_tried_once_and_not_if_one_network_stands_for_all(
    job, monkeypatch, known, shared, chosen
):
    monkeypatch.setattr("xnas_tf.evaluation.modes.is_shared", lambda *_, **__: shared)
    session = Session(known)
    assert job(SingleProcess())._with_modes(session).training.jit_compile is chosen
    assert session.noted == (None if known else {"jit_compile": chosen})
    assert bool(session.told) == (known is None and not shared)


def test_the_ranks_agree_on_whether_there_is_a_trial_where_one_has_a_gpu(job, monkeypatch):
    has_gpu = threading.local()
    monkeypatch.setattr("xnas_tf.evaluation.modes.is_shared", lambda *_, **__: not has_gpu.here)

    def rank(world):
        has_gpu.here = world.rank == 1
        session = None if world.rank else Session()
        return job(world)._with_modes(session).training.jit_compile

    assert on_ranks(2, rank) == [True, True]
