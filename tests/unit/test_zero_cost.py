"""Scores of untrained networks: synaptic flow and the covariance of Jacobians."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.unit.test_early_measures import CELL, made
from tests.unit.test_objectives import make_model, make_subject
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError, NotApplicable
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.zero_cost import (
    STABILITY,
    JacobianCovariance,
    Synflow,
    input_jacobians,
    jacobian_score,
    log_synflow,
)

SHAPE = (4, 4, 2)


def network(*hidden, shape=SHAPE, ending="softmax", **options):
    """Layers between an image and three classes."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input(shape)
    for layer in (*hidden, layers.Flatten(), layers.Dense(3, ending, **options)):
        x = layer(x)
    return keras.Model(inputs, x)


def randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    return model


def test_synflow_of_a_linear_network_is_the_product_of_absolute_weights():
    x = inputs = keras.Input(SHAPE)
    for layer in (layers.Flatten(), layers.Dense(5, use_bias=False), layers.BatchNormalization()):
        x = layer(x)
    x = layers.Dense(3, "softmax", use_bias=False)(layers.ReLU()(x))
    model = randomize(keras.Model(inputs, x))
    first, second = (np.abs(w.astype(float)) for w in model.get_weights() if w.ndim > 1)
    flow = np.ones(32) @ first @ second @ np.ones(3)
    # Each of the two kernels contributes the whole flow.
    assert log_synflow(model, SHAPE) == pytest.approx(np.log10(2 * flow), rel=1e-6)


def test_synflow_counts_the_kernels_of_each_path():
    inputs = keras.Input(SHAPE)
    first = layers.Conv2D(2, 1, use_bias=False)
    x = layers.Add()([inputs, first(inputs)])
    x = layers.GlobalAveragePooling2D()(x)
    model = randomize(keras.Model(inputs, layers.Dense(3, use_bias=False)(x)))
    kernel, last = (np.abs(w.astype(float)) for w in model.get_weights())
    short, long = (np.ones(2) @ m @ last @ np.ones(3) for m in (np.eye(2), kernel[0, 0]))
    assert log_synflow(model, SHAPE) == pytest.approx(np.log10(short + 2 * long), rel=1e-6)


def test_biases_add_to_the_flow_but_do_not_count():
    model = randomize(network())
    kernel, bias = (np.abs(w.astype(float)) for w in model.get_weights())
    assert bias.sum() > 0.1
    # d log R / dθ: the flow through the kernel, whatever the biases add to R.
    assert log_synflow(model, SHAPE) == pytest.approx(np.log10(kernel.sum()), rel=1e-6)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 99))
def test_synflow_does_not_depend_on_signs_units_or_normalisation(seed):
    rng = np.random.default_rng(seed)
    hidden = layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()
    model = network(*hidden, layers.Conv2D(3, 2))
    score = log_synflow(randomize(model, seed), SHAPE)
    order, scales = rng.permutation(4), rng.uniform(0.5, 2, 4)
    kernel, bias, *moments, following, _, _, _ = model.get_weights()
    kernel = kernel[..., order] * scales * rng.choice([-1, 1], kernel.shape)
    moments = [rng.uniform(0.1, 9, 4) for _ in moments]
    following = following[:, :, order] / scales[:, None]
    model.set_weights(
        [kernel, bias[order] * scales, *moments, following, *model.get_weights()[-3:]]
    )
    assert log_synflow(model, SHAPE) == pytest.approx(score, rel=1e-5)


def test_flows_beyond_float32_are_finite():
    model = network(*(layers.Conv2D(1, 1, use_bias=False) for _ in range(6)), use_bias=False)
    for kernel in model.weights[:6]:
        kernel.assign(np.full(kernel.shape, 1e10))
    model.weights[6].assign(np.ones((16, 3)))
    assert log_synflow(model, SHAPE) == pytest.approx(60 + np.log10(2 * 48 * 7), rel=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_synflow_does_not_depend_on_the_precision(policy):
    """Its terms exceed the range of float16, and bfloat16 has three digits."""
    hidden = [(layers.Conv2D, 8, 3), (layers.Dense, 300), (layers.Dense, 300)]
    usual, mixed = (
        network(*(cls(*rest, dtype=kind) for cls, *rest in hidden), dtype=kind)
        for kind in ("float32", policy)
    )
    before = [layer.dtype_policy for layer in mixed.layers]
    mixed.set_weights(randomize(usual).get_weights())
    usual.set_weights(mixed.get_weights())  # rounded to the precision of the variables
    assert log_synflow(mixed, SHAPE) == pytest.approx(log_synflow(usual, SHAPE), rel=1e-5)
    assert [layer.dtype_policy for layer in mixed.layers] == before


def test_a_network_that_lets_nothing_through_has_no_synflow():
    model = network(layers.Conv2D(2, 3), shape=(8, 8, 1), use_bias=False)
    model.weights[2].assign(np.zeros(model.weights[2].shape))
    score = Synflow().score(make_subject(model))
    assert (
        np.isnan(score.value) and score.reason == "the sum of the logits is not a positive number"
    )


def test_jacobians_are_those_of_the_network():
    """A layer of ReLU units: the Jacobian is W1 diag(active) W2 summed over the logits."""
    x = inputs = keras.Input(SHAPE)
    x = layers.Dense(7, "relu")(layers.Flatten()(x))
    model = randomize(keras.Model(inputs, layers.Dense(3, "softmax")(x)))
    images = np.random.default_rng(2).random((6, *SHAPE), np.float32)
    first, bias, second, _ = (w.astype(float) for w in model.get_weights())
    active = images.reshape(6, -1) @ first + bias > 0
    expected = np.stack([first @ (row * second.sum(axis=1)) for row in active])
    jacobians = input_jacobians(model, images)
    np.testing.assert_allclose(jacobians, expected, rtol=1e-4, atol=1e-5)

    centred = expected - expected.mean(axis=1, keepdims=True)
    unit = centred / np.sqrt((centred**2).sum(axis=1, keepdims=True))
    eigenvalues = np.linalg.svd(unit, compute_uv=False) ** 2
    wanted = -sum(np.log(v + STABILITY) + 1 / (v + STABILITY) for v in eigenvalues)
    assert jacobian_score(expected) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("count", [2, 5])
def test_scores_of_equal_and_of_uncorrelated_jacobians(count):
    def term(value):
        return np.log(value + STABILITY) + 1 / (value + STABILITY)

    row = np.random.default_rng(0).random(12)
    # The zeros are exact only up to rounding, which is small compared with k.
    same = jacobian_score(np.tile(row, (count, 1)))
    assert same == pytest.approx(-term(count) - (count - 1) * term(0), rel=1e-6)
    apart = np.fft.fft(np.eye(16)).real[1 : 1 + count]  # cosines of different frequencies
    assert jacobian_score(apart) == pytest.approx(-count * term(1))


def test_batch_normalisation_uses_the_batch_and_dropout_is_left_out():
    norm, last = layers.BatchNormalization(), layers.Conv2D(2, 2, activation="relu")
    model = randomize(network(norm, layers.Dropout(0.9), last, ending=None))
    images = np.random.default_rng(3).random((5, *SHAPE), np.float32)
    batch = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        mean, variance = tf.nn.moments(batch, axes=(0, 1, 2))
        x = (batch - mean) / tf.sqrt(variance + norm.epsilon) * norm.gamma + norm.beta
        total = tf.reduce_sum(model.layers[-1](model.layers[-2](last(x))))
    expected = tape.gradient(total, batch).numpy().reshape(5, -1)
    np.testing.assert_allclose(input_jacobians(model, images), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("inner", [False, True])
def test_random_changes_of_images_are_left_out(inner):
    def used():
        return layers.BatchNormalization(), layers.Conv2D(2, 2, activation="relu")

    changes = [layers.RandomFlip(seed=1), layers.RandomContrast(0.9), layers.RandomRotation(0.5)]
    random = [keras.Sequential(changes)] if inner else changes
    model, plain = (network(*first, *used(), ending=None) for first in (random, ()))
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    plain.set_weights([each for each in model.get_weights() if each.dtype.kind == "f"])
    images = np.random.default_rng(3).random((5, *SHAPE), np.float32)
    np.testing.assert_allclose(
        input_jacobians(model, images), input_jacobians(plain, images), rtol=1e-4, atol=1e-6
    )


def test_ranks_compute_the_same_score():
    models = [make_model(), make_model()]  # a thread for each rank, each with its own model
    whole = make_subject(models[0])
    measures = Synflow(), JacobianCovariance(images=30)

    def scores(ranks):
        own = slice(ranks.rank, None, ranks.size)
        parts = whole.images[own], whole.labels[own], whole.probabilities[own]
        subject = Subject(models[ranks.rank], ranks, whole.class_names, *parts)
        return [measure.score(subject).value for measure in measures]

    one, (first, second) = scores(SingleProcess()), on_ranks(2, scores)
    assert first == second == one


class Failing(layers.Layer):
    broken = False

    def call(self, x):
        if self.broken:
            raise ValueError("it broke")
        return x


@pytest.mark.parametrize("measure", [Synflow(), JacobianCovariance()])
def test_a_model_that_fails_stays_as_it_was(measure):
    failing = Failing()
    model = network(layers.Conv2D(2, 3), layers.BatchNormalization(), failing, shape=(8, 8, 1))
    before, calls = model.get_weights(), [vars(layer).get("call") for layer in model.layers]
    failing.broken = True
    with pytest.raises(ValueError, match="it broke"):
        measure.score(make_subject(model))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert [vars(layer).get("call") for layer in model.layers] == calls


class Hidden(layers.Layer):
    """A layer that computes probabilities by itself."""

    def call(self, x):
        return tf.nn.softmax(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: keras.Model([m.input, keras.Input((2,), name="age")], m.output),
            "inputs of the",
        ),
        (lambda m: keras.Sequential([keras.Input((9,)), layers.Dense(3)]), r"\(None, 9\); allowed"),
        (lambda m: keras.Model(m.input, Hidden()(m.output)), "without its last activation"),
    ],
)
@pytest.mark.parametrize("measure", [Synflow(), JacobianCovariance()])
def test_models_without_one_image_or_logits_are_refused(measure, change, message):
    with pytest.raises(NotApplicable, match=message):
        measure.score(make_subject(change(make_model())))


def test_a_model_without_kernels_has_no_synflow():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(NotApplicable, match="synflow: the model has no kernels"):
        log_synflow(model, (8, 8, 3))


def test_constant_jacobians_have_no_score():
    inputs = keras.Input((8, 8, 1))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    score = JacobianCovariance().score(make_subject(keras.Model(inputs, layers.Dense(3)(pooled))))
    assert np.isnan(score.value) and "the same for all pixels" in score.reason


def test_more_images_than_values_are_refused():
    dataset = make_dataset(shape=(6, 4, 1))  # 30 validation images
    JacobianCovariance(images=23).check_dataset(dataset)
    with pytest.raises(
        InputError, match="given images: 24, .* 24 values; allowed: images: 2 to 23"
    ):
        JacobianCovariance(images=24).check_dataset(dataset)
    JacobianCovariance(images=64).check_dataset(make_dataset())  # 30 images, 64 values


def test_scores_are_recorded_before_training():
    scores = [{"name": "jacobian_covariance", "images": 20}, "synflow"]
    config, dataset, space = made(f"record_at={json.dumps({0: scores})}")
    split, model = dataset.validation, space.build(CELL)
    chance = np.full((len(split), dataset.classes), 1 / dataset.classes)
    subject = Subject(
        model, SingleProcess(), dataset.class_names, split.images, split.labels, chance
    )
    values = Scorer(config, dataset).score_at(0, subject)
    assert values["epoch_0/synflow"] > 0 > values["epoch_0/jacobian_covariance"]
