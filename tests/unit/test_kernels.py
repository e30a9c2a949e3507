"""Kernels are kept from one model to the next, and no value depends on it."""

from contextlib import nullcontext

import keras
import pytest
import tensorflow as tf

from tests.datasets import make_dataset
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.keras_tools import kernel_cache as kernels
from xnas_tf.keras_tools.kernel_cache import kept_kernels
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace


def raw():
    """From an operation that asks nobody for a seed: its numbers go on as long as it is kept."""
    return float(tf.raw_ops.RandomUniform(shape=[1], dtype=tf.float32, seed=3, seed2=5)[0])


def twice(draw):
    """What is drawn after a seed was set, and after it was set again."""
    values = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        values.append(draw())
    return values


def test_kernels_stay_where_seeds_are_set_and_the_session_is_cleared():
    raw()  # TensorFlow clears nothing before it ran something
    with kept_kernels():
        keras.utils.set_random_seed(7)  # the first time clears what was there before
        values = [raw()]
        keras.utils.set_random_seed(7)
        values.append(raw())
        keras.backend.clear_session()
        values.append(raw())
    assert len(set(values)) == 3
    first, second = twice(raw)
    assert first == second == values[0]


def test_a_kept_kernel_is_cleared_when_random_operations_are_found():
    with kept_kernels():
        keras.utils.set_random_seed(7)
        first = raw()
        tf.random.normal([1])
        keras.utils.set_random_seed(7)
        assert raw() == first


@pytest.mark.parametrize("seed", [None, 11])
@pytest.mark.parametrize("wrap", [lambda draw: draw, tf.function], ids=["eager", "traced"])
def test_random_operations_begin_anew_with_each_seed(seed, wrap):
    draw = wrap(lambda: tf.random.normal([2], seed=seed))
    with kept_kernels():
        values = [tuple(numbers.numpy()) for _ in range(2) for numbers in twice(draw)]
    assert len(set(values)) == 1


def test_others_pass_and_all_is_as_before():
    with kept_kernels():
        with kept_kernels():
            pass
        twice(raw)
        assert len(set(twice(raw))) == 2
    assert len(set(twice(raw))) == 1


def outcomes(context):
    """Of two cells, one after the other, all but their seconds."""
    dataset = make_dataset()
    config = load_config(
        overrides=[
            "training={epochs: 1, batch_size: 32, optimizer: adam, learning_rate: 0.01}",
            "objectives=[error, {name: introspectability, sources: [activations]}]",
        ]
    )
    default = {f"edge_{a}_{b}": "nor_conv_3x3" for b in range(4) for a in range(b)}
    cells = [default, {**default, "edge_0_3": "avg_pool_3x3"}, default]
    found = []
    with context:
        hypermodel = NASBench201(dataset.image_shape, dataset.classes, 4, cells_per_stack=1)
        space = SearchSpace(hypermodel, dataset.image_shape, dataset.classes)
        evaluator = Evaluator(config, dataset, space, SingleProcess())
        for seed, cell in enumerate(cells):
            outcome = evaluator.evaluate(Candidate(1, "cell", cell, seed=seed, epochs=1))
            assert outcome.state == "done", outcome.reason
            found.append((outcome.objectives, outcome.metrics, outcome.history, outcome.digest))
    return found


@pytest.mark.long
def test_a_candidate_gets_the_same_values_to_the_last_bit():
    assert outcomes(kept_kernels()) == outcomes(nullcontext())


def test_kernels_are_cleared_when_there_are_many(monkeypatch):
    monkeypatch.setattr(kernels, "MOST_VARIABLES", 3)
    with kept_kernels():
        keras.utils.set_random_seed(7)
        values = []
        for names in ("abc", "abc", "abcd", "ab"):
            for name in names:
                tf.Variable(0.0, name=name)
            values.append(raw())
            keras.utils.set_random_seed(7)
    assert len(set(values[:3])) == 3 and values[3] == values[0]
