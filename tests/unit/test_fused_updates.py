"""Updates of one operation are Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.keras_tools.fused_updates import fused_updates

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "schedule": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.1, 7), momentum=0.5
    ),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adam, other": lambda: keras.optimizers.Adam(
        0.1, beta_1=0.5, beta_2=0.8, epsilon=1e-3, clipnorm=1.0, use_ema=True
    ),
    "accumulating": lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=2),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
}


class SuccessiveHalving(keras.optimizers.SGD):
    """A user's own: its update must stay his."""

    def update_step(self, gradient, variable, learning_rate):
        variable.assign(variable / 2)


def updated(optimizer, dtype, traced, fuse, steps=7):
    """Variables, and the optimizer's, after some steps with given gradients."""
    rng = np.random.default_rng(3)
    variables = [keras.Variable(rng.normal(size=s), dtype=dtype) for s in [(3, 4), (4,), ()]]
    optimizer.build(variables)

    def step(gradients):
        if not fuse:
            return optimizer.apply(gradients, variables)
        with fused_updates(optimizer):
            return optimizer.apply(gradients, variables)

    run = tf.function(step, autograph=False) if traced else step
    for _ in range(steps):
        run([tf.constant(rng.normal(size=v.shape), dtype) for v in variables])
    return [np.asarray(v) for v in [*variables, *optimizer.variables]]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("traced", [True, False])
def test_it_is_the_same_update(name, dtype, traced):
    plain = updated(OPTIMIZERS[name](), dtype, traced, fuse=False)
    fused = updated(OPTIMIZERS[name](), dtype, traced, fuse=True)
    for one, other in zip(plain, fused, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


def test_a_users_optimizer_is_left_alone():
    halved, *_ = updated(SuccessiveHalving(0.1), "float32", traced=True, fuse=True, steps=1)
    start = np.random.default_rng(3).normal(size=(3, 4))
    np.testing.assert_allclose(halved, start / 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_it_really_is_one_operation_a_variable_and_the_optimizer_stays_ordinary(name):
    optimizer = OPTIMIZERS[name]()
    variables = [keras.Variable(np.ones(n, np.float32)) for n in (2, 3)]
    optimizer.build(variables)

    def step():
        with fused_updates(optimizer):
            optimizer.apply([tf.ones(2), tf.ones(3)], variables)

    graph = tf.function(step, autograph=False).get_concrete_function().graph
    updates = [op for op in graph.get_operations() if op.type.startswith("ResourceApply")]
    assert len(updates) == 2
    if name == "adam":  # the rate and what else is the same for all variables is made once
        one, other = ([tensor.name for tensor in op.inputs[3:9]] for op in updates)
        assert one == other
    assert "update_step" not in vars(optimizer)
