"""Averages gradients over the ranks before a model's optimizers apply them.

As in Horovod's ``DistributedOptimizer``, gradients are averaged in ``apply``, so this works with
every ``train_step``. Loss scaling, clipping and gradient accumulation come afterwards, so all ranks
skip the same steps if gradients are infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import keras
import tensorflow as tf

from xnas_tf.distributed import Communicator

Gradients = list[tf.Tensor | None]
Change = Callable[[Gradients, Sequence[keras.Variable]], Gradients]


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return a model's optimizers: the one it was compiled with, and those in its attributes."""
    values: list[Any] = [model.optimizer] if model.compiled else []
    for attribute in vars(model).values():
        members = attribute.values() if isinstance(attribute, dict) else attribute
        values += members if isinstance(attribute, dict | list | tuple) else [attribute]
    found = {id(v): v for v in values if isinstance(v, keras.optimizers.Optimizer)}
    return list(found.values())


@contextmanager
def averaged_gradients(
    model: keras.Model, communicator: Communicator, share: float, weight_decay: float
) -> Iterator[None]:
    """Let a model's optimizers apply averaged gradients while a training step is traced.

    The context replaces the class of the optimizers, since Keras' ``train_step`` calls ``apply``
    itself. ``share`` is this rank's share of the global batch, in (0, 1]: the weight of its
    gradients. ``weight_decay`` times the weights is added to the averaged gradients.
    """
    names = (f"gradients_{number}" for number in count())  # for Horovod's operations

    def change(gradients: Gradients, variables: Sequence[keras.Variable]) -> Gradients:
        if communicator.size > 1:
            gradients = _averaged(gradients, communicator, share, next(names))
        if weight_decay:
            gradients = _decayed(gradients, variables, weight_decay)
        return gradients

    classes = [(optimizer, type(optimizer)) for optimizer in optimizers_of(model)]
    if communicator.size == 1 and not weight_decay:
        classes = []
    for optimizer, own in classes:
        object.__setattr__(optimizer, "__class__", _changing(own, change))
    try:
        yield
    finally:
        for optimizer, own in classes:
            object.__setattr__(optimizer, "__class__", own)


def _changing(own: Any, change: Change) -> type:

    class Changing(own):
        def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
            given = trainable_variables
            variables = list(self._trainable_variables if given is None else given)
            return super().apply(change(list(grads), variables), given)

    return Changing


def _averaged(
    gradients: Gradients, communicator: Communicator, share: float, name: str
) -> Gradients:
    """Return the gradients averaged over the ranks; None stays None."""
    mine = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
    if not mine:  # Keras reports the error
        return gradients
    shares = [gradient * tf.cast(share, gradient.dtype) for gradient in mine]
    totals = iter(communicator.sum_tensors(shares, name))
    return [None if gradient is None else next(totals) for gradient in gradients]


def _decayed(
    gradients: Gradients, variables: Sequence[keras.Variable], weight_decay: float
) -> Gradients:
    pairs = zip(gradients, variables, strict=True)
    return [
        None
        if gradient is None
        else tf.convert_to_tensor(gradient) + weight_decay * tf.convert_to_tensor(variable)
        for gradient, variable in pairs
    ]
