"""What is changed for the whole process is changed back."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.keras_tools.tracing import (
    FEW_RUNS,
    MANY_RUNS,
    by_batches,
    kept_arithmetic,
    unoptimized_graphs,
)


def is_unoptimized():
    return bool(tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer"))


def test_graphs_are_optimized_again_where_threads_overlap():
    """Else the last digits of later trainings would depend on what was explained before."""
    assert not is_unoptimized()
    second_is_inside, first_has_left, seen = threading.Event(), threading.Event(), []

    def first():
        with unoptimized_graphs():
            other.start()
            second_is_inside.wait(0.3)  # in vain, where one at a time may be
            seen.append(is_unoptimized())
        first_has_left.set()

    def second():
        with unoptimized_graphs():
            second_is_inside.set()
            first_has_left.wait(60)
            seen.append(is_unoptimized())

    one, other = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    one.join()
    other.join()
    assert seen == [not tf.config.list_physical_devices("GPU")] * 2
    assert not is_unoptimized()


def test_arithmetic_is_left_as_it_was_found():
    options = tf.config.optimizer
    with kept_arithmetic():
        assert options.get_experimental_options()["remapping"] is False
        assert options.get_experimental_options()["arithmetic_optimization"] is False
    assert options.get_experimental_options()["remapping"] is True
    options.set_experimental_options({"remapping": False})
    try:
        with kept_arithmetic():
            pass
        assert options.get_experimental_options()["remapping"] is False
    finally:
        options.set_experimental_options({"remapping": True})


@pytest.mark.parametrize("runs", [FEW_RUNS, MANY_RUNS, MANY_RUNS + 1, None])
@pytest.mark.parametrize("at_once", [1, 2])
def test_batches_are_worked_on_in_order_however_that_is_done(runs, at_once):
    """``by_batches`` with a state, which each batch finds as the one before left it."""
    state, traces = tf.Variable(1.0), []

    def function(images, labels):
        traces.append(images.shape)
        if at_once == 1:
            state.assign(state * 2)
        return tf.reduce_sum(images) * state + labels[0]

    call = by_batches(function, tf.float32, runs, at_once)
    rng, before = np.random.default_rng(0), 1.0
    for height in (1, 5, 2):
        images = rng.random((height, 3, 2), np.float32)
        labels = rng.random((height, 3), np.float32)
        found = call(images, labels).numpy()
        powers = before * 2.0 ** np.arange(1, height + 1) if at_once == 1 else np.ones(height)
        before = powers[-1]
        np.testing.assert_allclose(found, images.sum((1, 2)) * powers + labels[:, 0], rtol=1e-6)
    assert len(traces) == (8 if runs == FEW_RUNS else 1) and set(traces) == {(3, 2)}


@pytest.mark.parametrize("runs", [MANY_RUNS, None])
def test_batches_are_traced_once_for_each_kind(runs):
    traces = []

    def function(numbers):
        traces.append((tuple(numbers.shape), numbers.dtype))
        return tf.cast(tf.reduce_sum(numbers), tf.float32)

    call = by_batches(function, tf.float32, runs)
    stacks = [np.full((2, 3), 1.5, np.float32), np.ones((2, 4), np.float32), np.ones((2, 3), int)]
    for stack in [*stacks, *stacks]:
        np.testing.assert_array_equal(call(stack), stack.sum(axis=1))
    assert traces == [((3,), tf.float32), ((4,), tf.float32), ((3,), tf.int64)]
