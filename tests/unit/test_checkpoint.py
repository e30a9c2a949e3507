"""A training goes on from a checkpoint as if it had never been interrupted."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from xnas_tf.config import load_config
from xnas_tf.data.batches import training_batches
from xnas_tf.distributed import SingleProcess
from xnas_tf.training.callbacks import EvaluationCallback
from xnas_tf.training.checkpoint import CheckpointError, TrainingProgress, pack, unpack
from xnas_tf.training.trainer import Trainer

EPOCHS, STEPS = 2, 3
PLAIN = "training.optimizer=sgd", "training.weight_decay=0.01"
ADAM = ("training.optimizer=adam",)


class TaskCallback(EvaluationCallback):
    """Keeps a checkpoint after every step; may have one from before."""

    def __init__(self, data=None):
        self.data, self.kept = data, []

    def wants_checkpoint(self):
        return True

    def save_checkpoint(self, data):
        self.kept.append(data)

    def checkpoint(self):
        return self.data


def build(batch_norm=True, seed=0, width=4):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3)(inputs)
    x = keras.layers.BatchNormalization()(x) if batch_norm else x
    x = keras.layers.Flatten()(keras.layers.Activation("relu")(x))
    x = keras.layers.Dropout(0.3)(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def train(model, optimizer, callback, communicator=None, batch_size=20):
    """All that a training leaves behind."""
    config = load_config(
        overrides=[
            f"training={{epochs: {EPOCHS}, batch_size: {batch_size}, learning_rate: 0.02}}",
            "training.augmentation={crop: 1, flip: true, cutout: 2}",
            *optimizer,
        ]
    ).training
    ranks = communicator or SingleProcess()
    trainer = Trainer(model, make_dataset(), config, ranks, 4, callback)
    while trainer.progress.epoch < EPOCHS:
        trainer.progress.history.append(trainer.run_epoch())
    variables = [*model.variables, *model.optimizer.variables]
    return trainer.progress.history, [np.array(v).tobytes() for v in variables], trainer.ignored


@functools.cache
def uninterrupted(optimizer):
    callback = TaskCallback()
    return train(build(), optimizer, callback), callback.kept


@pytest.mark.parametrize("optimizer", [ADAM, *left_to_all((PLAIN,))])
@settings(max_examples=2, deadline=None)
@given(step=st.integers(0, EPOCHS * STEPS - 1))
def test_interrupted_at_any_step_it_ends_the_same_to_the_last_bit(optimizer, step):
    whole, checkpoints = uninterrupted(optimizer)
    assert len(checkpoints) == EPOCHS * STEPS and len(whole[0]) == EPOCHS
    again = TaskCallback(checkpoints[step])
    assert train(build(seed=9), optimizer, again) == whole
    assert again.kept == checkpoints[step + 1 :]


@pytest.mark.long
def test_on_two_ranks_rank_0_alone_keeps_what_all_resume_from():
    def once(data, seed):
        models = [build(False, seed), build(False, seed + 1)]
        callbacks = [TaskCallback(data), TaskCallback(b"never asked")]

        def of_rank(ranks):
            return train(models[ranks.rank], PLAIN, callbacks[ranks.rank], ranks)

        found = on_ranks(2, of_rank)
        assert callbacks[1].kept == []
        return found, callbacks[0].kept

    whole, checkpoints = once(None, 0)
    assert whole[0] == whole[1] and len(checkpoints) == EPOCHS * STEPS
    found, kept = once(checkpoints[3], 5)
    for (history, *state), (whole_history, *whole_state) in zip(found, whole, strict=True):
        assert state == whole_state and history[0] == whole_history[0]
        # The training metrics of the interrupted epoch lack rank 1's images before the checkpoint.
        assert history[1].keys() == whole_history[1].keys()


def variables():
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=(2, 3)), dtype="bfloat16"),
        keras.Variable(rng.normal(size=(4,)), dtype="float16"),
        keras.Variable(np.float32(3.5)),
        keras.Variable(np.array([2**32 - 1, 7]), dtype="uint32", trainable=False),
        keras.Variable(np.array([2**62 + 1, -7]), dtype="int64", trainable=False),
        keras.Variable(np.zeros((0, 3)), dtype="float32"),
    ]


PROGRESS = TrainingProgress(3, 2, {"loss": 0.1}, [{"loss": 1 / 3, "val_loss": 1e-300}])


def test_all_types_survive():
    before, after = variables(), variables()
    data = pack(PROGRESS, before)
    for variable in after:
        variable.assign(tf.zeros_like(variable.value))
    assert unpack(data, after) == PROGRESS
    for one, other in zip(before, after, strict=True):
        assert np.array(one.value).tobytes() == np.array(other.value).tobytes()


@settings(max_examples=20, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_checkpoint_is_recognised(place, change, cut):
    data = bytearray(pack(PROGRESS, variables()))
    position = int(place * len(data))
    if cut:
        del data[position:]
    else:
        data[position] ^= change
    into = [keras.Variable(v.value * 0, dtype=v.dtype) for v in variables()]
    try:
        assert unpack(bytes(data), into) == PROGRESS  # what was hit means nothing
    except CheckpointError as error:
        assert "damaged" in str(error)
        assert not any(np.array(v.value).any() for v in into)
    else:
        for one, other in zip(into, variables(), strict=True):
            assert np.array(one.value).tobytes() == np.array(other.value).tobytes()


@pytest.mark.parametrize(
    "kind, why", [({"width": 5}, "5"), *left_to_all(({"batch_norm": False}, "variables"))]
)
def test_another_models_checkpoint_is_ignored_and_said(kind, why):
    few_steps = {"batch_size": 60}  # which are not traced
    other = TaskCallback()
    train(build(), PLAIN, other, **few_steps)
    foreign = TaskCallback(other.kept[0])
    *expected, nothing = train(build(**kind), PLAIN, TaskCallback(), **few_steps)
    *found, ignored = train(build(**kind), PLAIN, foreign, **few_steps)
    assert found == expected and nothing == ""
    assert "checkpoint was ignored" in ignored and why in ignored


@given(st.integers(0, STEPS))
def test_batches_from_a_step_on_are_those_of_the_whole_epoch(first):
    augmentation = load_config(overrides=["training.augmentation={crop: 2, cutout: 3}"])
    given = make_dataset(), 20, augmentation.training.augmentation, 1, 0
    whole, rest = list(training_batches(*given)), list(training_batches(*given, first=first))
    assert len(rest) == STEPS - first
    for one, other in zip(whole[first:], rest, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
