"""One contract for every registered search space."""

from functools import cache

import keras
import numpy as np
import pytest

from xnas_tf.config import load_config
from xnas_tf.keras_tools.inspection import ending_of
from xnas_tf.spaces import SPACES
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.spaces.variables import decode

SHAPE, CLASSES = (8, 8, 1), 3
OPTIONS = {
    "nas_bench_201": {"channels": 2, "cells_per_stack": 1},
    "vgg_like": {"channels": 2},
    "hypermodel": {"hypermodel": "examples.branches:Branches"},
}


@cache
def make(name):
    """Each space once: it takes longer to examine than one of its networks to build."""
    config = load_config(overrides=[f"space={ {'name': name, **OPTIONS[name]} }"])
    return SearchSpace(config.space.create(SHAPE, CLASSES), SHAPE, CLASSES)


def drawn(space, rng):
    """Active hyperparameters at random, of a network that can be built."""
    while True:
        values = decode(space.variables, [v.sample(rng) for v in space.variables])
        if not space.infeasible(values):
            return values


def test_every_space_is_under_contract():
    assert set(OPTIONS) == set(SPACES.names())


@pytest.mark.parametrize("name", SPACES.names())
def test_what_is_drawn_can_be_built(name):
    space, rng = make(name), np.random.default_rng(0)
    texts = set()
    for _ in range(2):
        values = drawn(space, rng)
        model = space.build(values)
        texts.add(space.genotype(values))
        assert model.input_shape == (None, *SHAPE) and model.output_shape == (None, CLASSES)
        outputs = np.asarray(model(rng.random((2, *SHAPE), np.float32), training=False))
        assert np.isfinite(outputs).all()
        if ending_of(model).activation == "softmax":
            np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
        keras.backend.clear_session()
    assert len(texts) == 2


@pytest.mark.parametrize("name", SPACES.names())
def test_of_one_identity_is_one_network(name):
    space, rng = make(name), np.random.default_rng(1)
    values = drawn(space, rng)
    plain = space.simplify(dict(values))
    assert space.identity(plain) == space.identity(values)
    counts = {space.build(v).count_params() for v in (values, plain, dict(values))}
    assert len(counts) == 1
    assert space.genotype(values) == space.genotype(dict(reversed(values.items())))


@pytest.mark.parametrize("name", SPACES.names())
def test_inactive_variables_tell_no_networks_apart(name):
    space, rng = make(name), np.random.default_rng(2)
    for _ in range(200):
        places = [v.sample(rng) for v in space.variables]
        values = decode(space.variables, places)
        other = [
            place if variable.name in values else variable.sample(rng)
            for variable, place in zip(space.variables, places, strict=True)
        ]
        assert decode(space.variables, other) == values


@pytest.mark.parametrize("name", SPACES.names())
def test_features_are_always_as_many_numbers(name):
    space, rng = make(name), np.random.default_rng(3)
    widths = {len(space.features(drawn(space, rng))) for _ in range(5)}
    assert len(widths) == 1
