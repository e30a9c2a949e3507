"""What is changed for the whole process is changed back."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.keras_tools.tracing import FEW_RUNS, kept_arithmetic, traced, unoptimized_graphs


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


@pytest.mark.parametrize(("runs", "traces"), [(FEW_RUNS, 3), (FEW_RUNS + 1, 2), (None, 2)])
def test_what_runs_a_few_times_is_not_traced(runs, traces):
    calls = []

    def function(numbers):
        calls.append(numbers.shape)
        return tf.reduce_sum(numbers)

    call = traced(function, runs)
    for size in (3, 4, 3):
        numbers = np.arange(size, dtype=np.float32)
        np.testing.assert_allclose(call(tf.constant(numbers)), numbers.sum())
    assert len(calls) == traces
