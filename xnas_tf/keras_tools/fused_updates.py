"""An optimizer's update of a variable as one TensorFlow operation.

Keras 3 composes Adam's of some twenty operations for each variable, which are traced, optimised and
run one by one. TensorFlow's own kernels compute the same formulas; results agree to rounding
(tests/unit/test_fused_updates.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

Update = Callable[[tf.Tensor, tf.Variable, tf.Tensor], None]
"""Gradient, variable and learning rate, as of ``keras.optimizers.Optimizer.update_step``."""


@contextmanager
def fused_updates(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Inside, Keras' own SGD, Adam and AdamW update a variable by one operation. The optimizer
    stays an ordinary one; others are left alone."""
    update = _update_of(optimizer)
    if update is None:
        yield
        return
    object.__setattr__(optimizer, "update_step", update)
    try:
        yield
    finally:
        object.__delattr__(optimizer, "update_step")


def _update_of(optimizer: keras.optimizers.Optimizer) -> Update | None:
    if type(optimizer) is keras.optimizers.SGD:
        return _momentum(optimizer) if optimizer.momentum else _descent
    if type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW):
        return None if optimizer.amsgrad else _adam(optimizer)
    return None


def _descent(gradient: tf.Tensor, variable: tf.Variable, rate: tf.Tensor) -> None:
    dtype = variable.dtype
    tf.raw_ops.ResourceApplyGradientDescent(
        var=variable.handle, alpha=tf.cast(rate, dtype), delta=tf.cast(gradient, dtype)
    )


def _momentum(optimizer: keras.optimizers.SGD) -> Update:
    def update(gradient: tf.Tensor, variable: tf.Variable, rate: tf.Tensor) -> None:
        dtype = variable.dtype
        momentum = optimizer.momentums[optimizer._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=momentum.value.handle,
            lr=tf.cast(rate, dtype),
            grad=tf.cast(gradient, dtype),
            momentum=tf.cast(optimizer.momentum, dtype),
            use_nesterov=optimizer.nesterov,
        )

    return update


def _adam(optimizer: keras.optimizers.Adam) -> Update:
    constants: dict[tf.DType, dict[str, tf.Tensor]] = {}

    def update(gradient: tf.Tensor, variable: tf.Variable, rate: tf.Tensor) -> None:
        dtype, index = variable.dtype, optimizer._get_variable_index(variable)
        if dtype not in constants:  # the same for all variables of a step, whose trace is shorter
            constants[dtype] = _adam_constants(optimizer, dtype, rate)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            grad=tf.cast(gradient, dtype),
            **constants[dtype],
        )

    return update


def _adam_constants(
    optimizer: keras.optimizers.Adam, dtype: tf.DType, rate: tf.Tensor
) -> dict[str, tf.Tensor]:
    betas = [tf.cast(beta, dtype) for beta in (optimizer.beta_1, optimizer.beta_2)]
    step = tf.cast(optimizer.iterations + 1, dtype)
    return {
        "beta1_power": betas[0] ** step,
        "beta2_power": betas[1] ** step,
        "lr": tf.cast(rate, dtype),
        "beta1": betas[0],
        "beta2": betas[1],
        "epsilon": tf.cast(optimizer.epsilon, dtype),
    }
