"""Digests of models against what they must and must not tell apart."""

import itertools
import os
import subprocess
import sys
from collections import Counter, defaultdict

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from xnas_tf.keras_tools.model_hash import COMMUTATIVE, network_digest
from xnas_tf.spaces.cells import EDGES, OPERATIONS, network_of
from xnas_tf.spaces.nas_bench_201 import NASBench201

WIDTH = 4


def call(number):
    """A call of a layer: (kind, numbers of the calls that it takes, layer)."""
    earlier = st.integers(0, number - 1)
    merge = st.sampled_from(["maximum", "subtract"])
    return st.one_of(
        st.tuples(st.just("dense"), st.tuples(earlier), st.integers(0, 1)),
        st.tuples(merge, st.tuples(earlier, earlier), st.just(number + 1)),
    )


@st.composite
def networks(draw):
    """Small networks as lists of calls. Call 0 is the input; calls of ``dense`` with the same
    layer share it."""
    return [draw(call(number)) for number in range(1, draw(st.integers(2, 4)) + 1)]


def build(calls, order=None, swapped=False):
    """The network, made in some order, with names of its own.

    Args:
        calls: See ``networks``.
        order: A topological order of the calls.
        swapped: Whether maxima get their inputs the other way round.
    """
    tensors, made = {0: keras.Input((WIDTH,))}, {}
    for number in order or range(1, len(calls) + 1):
        kind, parents, layer = calls[number - 1]
        inputs = [tensors[parent] for parent in parents]
        if kind == "dense":
            made.setdefault(layer, layers.Dense(WIDTH))
            tensors[number] = made[layer](inputs[0])
        elif kind == "maximum":
            tensors[number] = layers.Maximum()(inputs[::-1] if swapped else inputs)
        else:
            tensors[number] = layers.Subtract()(inputs)
    used = {parent for _, parents, _ in calls for parent in parents}
    loose = [tensor for number, tensor in tensors.items() if number not in used]
    return keras.Model(tensors[0], layers.Average()([*loose, tensors[0]]))


def isomorphic(first, second):
    """By brute force over all ways to number the calls of the first."""
    if len(first) != len(second):
        return False
    wanted = _edges(second, range(len(second) + 1))
    return any(
        _edges(first, (0, *order)) == wanted
        for order in itertools.permutations(range(1, len(first) + 1))
    )


def _edges(calls, number_of):
    """All calls, numbered anew; layers are called by the calls that share them."""
    sharing = defaultdict(set)
    for number, (_, _, layer) in enumerate(calls, 1):
        sharing[layer].add(number_of[number])
    return {
        (
            number_of[number],
            kind,
            tuple((sorted if kind == "maximum" else list)(number_of[p] for p in parents)),
            frozenset(sharing[layer]),
        )
        for number, (kind, parents, layer) in enumerate(calls, 1)
    }


@given(networks(), st.data())
def test_equal_digests_are_isomorphisms_and_nothing_else(first, data):
    changed = data.draw(st.integers(0, len(first) - 1))
    kind, parents, layer = first[changed]
    turned = (kind, parents[::-1], layer)
    other = data.draw(st.one_of(st.just(turned), call(changed + 1)))
    second = [*first[:changed], other, *first[changed + 1 :]]
    equal = network_digest(build(first)) == network_digest(build(second))
    assert equal == isomorphic(first, second)


@settings(max_examples=10, deadline=None)
@given(networks(), st.data())
def test_order_of_making_and_names_make_no_difference(calls, data):
    waiting, order = set(range(1, len(calls) + 1)), []
    while waiting:
        ready = sorted(n for n in waiting if not waiting & set(calls[n - 1][1]))
        order.append(data.draw(st.sampled_from(ready)))
        waiting.remove(order[-1])
    again = build(calls, order, swapped=True)
    assert network_digest(again) == network_digest(build(calls))


def rings(*members):
    """Six layers of the same input, and maxima of neighbours: one ring of six or two of three."""
    inputs = keras.Input((WIDTH,))
    made = [layers.Dense(WIDTH)(inputs) for _ in range(6)]
    maxima = [
        layers.Maximum()([made[a], made[b]])
        for ring in members
        for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
    ]
    return keras.Model(inputs, layers.Average()(maxima))


def test_what_colours_alone_cannot_tell_apart():
    six, again, threes = map(
        network_digest,
        [rings([0, 1, 2, 3, 4, 5]), rings([3, 1, 5, 0, 2, 4]), rings([0, 1, 2], [3, 4, 5])],
    )
    assert six == again != threes


def chain(*made, shape=(8, 8, 2), **compiled):
    model = keras.Sequential([keras.Input(shape), *made])
    if compiled:
        model.compile(**compiled)
    return model


def functional(*made, shape=(8, 8, 2)):
    x = inputs = keras.Input(shape)
    for layer in made:
        x = layer(x)
    return keras.Model(inputs, x)


def branches(merge, *makers):
    inputs = keras.Input((8,))
    return keras.Model(inputs, merge([make()(inputs) for make in makers]))


def dense(units=4, **options):
    return lambda: layers.Dense(units, **options)


def both_ways(merge):
    makers = dense(4), dense(4, activation="relu")
    return [branches(merge(), *makers), branches(merge(), *makers[::-1])]


def twice(shared):
    inputs = keras.Input((8,))
    first = layers.Dense(8)
    second = first if shared else layers.Dense(8)
    return keras.Model(inputs, second(first(inputs)))


def nested_twice(shared):
    first = chain(layers.Dense(8), shape=(8,))
    second = first if shared else chain(layers.Dense(8), shape=(8,))
    return chain(first, second if not shared else _again(first), shape=(8,))


def _again(model):
    inputs = keras.Input((8,))
    return keras.Model(inputs, model(inputs))


def in_training(training):
    inputs = keras.Input((8,))
    inner = chain(layers.BatchNormalization(), shape=(8,))
    return keras.Model(inputs, inner(inputs, training=training))


def sums(nested):
    inputs = keras.Input((8,))
    a, b, c = (layers.Dense(8)(inputs) for _ in range(3))
    add = layers.Add
    return keras.Model(inputs, add()([a, add()([c, b])]) if nested else add()([a, b, c]))


def sgd(rate, **options):
    return keras.optimizers.SGD(rate, **options)


def frozen(trainable):
    model = chain(layers.Dense(3), shape=(8,))
    model.layers[-1].trainable = trainable
    return model


def regularized(rate):
    model = chain(layers.Dense(3), shape=(8,))
    model.layers[-1].kernel.regularizer = keras.regularizers.L2(rate)
    return model


EQUAL = {
    "names": lambda: [functional(layers.Conv2D(3, 3, name=name)) for name in ("a", "b")],
    "seeds": lambda: [functional(layers.Dropout(0.5, seed=seed)) for seed in (1, 2)],
    "seeds of initial values": lambda: [
        functional(layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(seed)))
        for seed in (1, 2)
    ],
    "sequential": lambda: [make(layers.Flatten(), layers.Dense(3)) for make in (chain, functional)],
    "nested": lambda: [
        chain(layers.Flatten(), layers.Dense(3)),
        chain(chain(layers.Flatten()), functional(layers.Dense(3), shape=(128,))),
    ],
    **{f"order of {merge.__name__}": lambda merge=merge: both_ways(merge) for merge in COMMUTATIVE},
    "sum of sums": lambda: [sums(nested) for nested in (True, False)],
    "operations": lambda: [functional(keras.ops.relu, keras.ops.exp) for _ in range(2)],
    "compiled": lambda: [chain(layers.ReLU(), optimizer=sgd(0.1), loss="mse") for _ in range(2)],
}
DIFFERENT = {
    "units": lambda: [functional(layers.Dense(units)) for units in (3, 4)],
    "activation": lambda: [functional(layers.Dense(3, activation=a)) for a in ("relu", "gelu")],
    "rate": lambda: [functional(layers.Dropout(rate)) for rate in (0.1, 0.2)],
    "kernel": lambda: [functional(layers.Conv2D(3, k, padding="same")) for k in (1, 3)],
    "initial values": lambda: [
        functional(layers.Dense(3, kernel_initializer=name)) for name in ("he_normal", "zeros")
    ],
    "regularizer": lambda: [
        functional(layers.Dense(3, kernel_regularizer=keras.regularizers.L2(value)))
        for value in (0.1, 0.01)
    ],
    "data type": lambda: [functional(layers.Dense(3, dtype=d)) for d in ("float32", "float16")],
    "frozen": lambda: [frozen(trainable) for trainable in (True, False)],
    "shape": lambda: [functional(layers.ReLU(), shape=(size, 8, 2)) for size in (8, 9)],
    "layer": lambda: [functional(layer()) for layer in (layers.ReLU, layers.Softmax)],
    "order of layers": lambda: [
        functional(*pair) for pair in itertools.permutations([layers.ReLU(), layers.Softmax()])
    ],
    "merge": lambda: [
        branches(merge(), dense(), dense()) for merge in (layers.Add, layers.Maximum)
    ],
    **{
        f"order of {merge.__name__}": lambda merge=merge: both_ways(merge)
        for merge in (layers.Concatenate, layers.Subtract)
    },
    "one summand twice": lambda: [
        branches(layers.Add(), dense()),
        branches(layers.Add(), dense(), dense()),
    ],
    "shared weights": lambda: [twice(shared) for shared in (True, False)],
    "shared weights of models": lambda: [nested_twice(shared) for shared in (True, False)],
    "argument of a call": lambda: [in_training(training) for training in (None, False)],
    "function": lambda: [
        functional(layers.Dense(3, activation=gelu))
        for gelu in (keras.activations.gelu, keras.ops.gelu)
    ],
    "regularizer that was set later": lambda: [regularized(rate) for rate in (0.1, 0.01)],
    "operations": lambda: [functional(op) for op in (keras.ops.relu, keras.ops.exp)],
    "constant": lambda: [functional(lambda x, c=c: x * c) for c in (1.0, 2.0)],
    "compiled": lambda: [
        chain(layers.ReLU(), **o) for o in ({}, {"optimizer": sgd(0.1), "loss": "mse"})
    ],
    "learning rate": lambda: [
        chain(layers.ReLU(), optimizer=sgd(rate), loss="mse") for rate in (0.1, 0.01)
    ],
    "momentum": lambda: [
        chain(layers.ReLU(), optimizer=sgd(0.1, momentum=m), loss="mse") for m in (0.0, 0.9)
    ],
    "loss": lambda: [
        chain(layers.ReLU(), optimizer=sgd(0.1), loss=loss) for loss in ("mse", "mae")
    ],
    "parameter of a loss": lambda: [
        chain(layers.ReLU(), optimizer=sgd(0.1), loss=keras.losses.Huber(delta))
        for delta in (1.0, 2.0)
    ],
    "axis of a loss": lambda: [
        chain(layers.ReLU(), optimizer=sgd(0.1), loss=[keras.losses.CosineSimilarity(axis=axis)])
        for axis in (-1, 1)
    ],
    "gain of initial values": lambda: [
        functional(layers.Dense(3, kernel_initializer=keras.initializers.Identity(gain)))
        for gain in (1.0, 2.0)
    ],
    "parameter of a metric": lambda: [
        chain(layers.ReLU(), optimizer=sgd(0.1), loss="mse", metrics=[keras.metrics.AUC(count)])
        for count in (100, 200)
    ],
    "metrics": lambda: [
        chain(layers.ReLU(), optimizer=sgd(0.1), loss="mse", metrics=[metric])
        for metric in ("mae", "mse")
    ],
}


@pytest.mark.parametrize("name", EQUAL)
def test_what_makes_no_difference(name):
    first, second = map(network_digest, EQUAL[name]())
    assert first == second


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_makes_a_difference(name):
    first, second = map(network_digest, DIFFERENT[name]())
    assert first != second


def test_digest_is_the_same_in_every_process():
    code = (
        "from xnas_tf.keras_tools.graph_hash import Graph; graph = Graph(); "
        "twins = graph.add('x'), graph.add('x'); "
        "print(graph.digest(graph.add('y', [('edge', t) for t in twins])))"
    )
    said = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": s}
        )
        for s in "123"
    }
    assert len(said) == 1


@pytest.mark.long
def test_cells_have_equal_digests_exactly_if_they_are_the_same_network():
    groups = defaultdict(list)
    for operations in itertools.product(OPERATIONS, repeat=len(EDGES)):
        cell = dict(zip(EDGES, operations, strict=True))
        groups[network_of(cell)].append(cell)
    several = [group for text, group in groups.items() if text and len(group) > 1]
    rng = np.random.default_rng(0)
    digests = Counter()
    for i in rng.choice(len(several), 8, replace=False):
        first, second = (several[i][j] for j in rng.choice(len(several[i]), 2, replace=False))
        digests.update([_digest_of(first), _digest_of(second)])
    assert list(digests.values()) == [2] * 8


def _digest_of(cell):
    hp = keras_tuner.HyperParameters()
    hp.values = cell
    return network_digest(NASBench201((8, 8, 1), 3, channels=2, cells_per_stack=1).build(hp))
