"""Runs training steps: the model's own ``train_step``, traced, with averaged gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.keras_tools.fused_layers import fused_layers
from xnas_tf.keras_tools.mixed_precision import mixed_precision
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.targets import as_targets, target_form
from xnas_tf.keras_tools.tracing import traced
from xnas_tf.training.compilation import class_weights
from xnas_tf.training.metrics import finite_metrics, metrics_of_all_ranks
from xnas_tf.training.options import TrainingOptions

Logs = dict[str, Any]
Gradients = list[tf.Tensor | None]
Change = Callable[[Gradients, Sequence[keras.Variable]], Gradients]


class Step:
    """A training step: a compiled model's ``train_step`` on this rank's share of a global batch.

    Keras handles the loss, the metrics, loss scaling and everything else; only the gradients are
    averaged over the ranks, weighted by their shares, before they are applied.

    Attributes:
        has_run: Whether a step has run; the first step may be traced.
        logs: Values that the latest step returned on this rank.

    Args:
        batch_size: Number of images in a global batch.
        weight_decay: The configured weight decay, or 0 if the model has its own optimizer.
        runs: Maximum number of steps; if None, many are assumed.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        batch_size: int,
        weight_decay: float,
        config: TrainingOptions,
        communicator: Communicator,
        runs: int | None = None,
    ) -> None:
        self._model = model
        self._classes = dataset.classes
        self._targets = target_form(model, dataset.classes)
        self._communicator = communicator
        self._images = len(shard(batch_size, communicator.rank, communicator.size))
        self._share = self._images / batch_size
        weights = class_weights(config.class_weight, dataset.class_names)
        self._class_weights = None if weights is None else tf.constant(weights)
        self._weight_decay = weight_decay
        self._precision = mixed_precision if config.mixed_precision else nullcontext
        if model.run_eagerly:
            self._run = self._step
        elif config.jit_compile:
            self._run = tf.function(self._step, autograph=False, jit_compile=True)
        else:
            self._run = traced(self._step, runs)
        self.logs: Logs = {}
        self.has_run = False

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Update the weights with this rank's images (B, H, W, C), uint8, and labels (B,)."""
        self.logs = self._run(tf.constant(images), tf.constant(labels))
        self.has_run = True

    def wait(self) -> None:
        """Wait until a GPU has computed the latest step."""
        for value in list(self.logs.values())[:1]:
            np.asarray(value)

    def _step(self, images: tf.Tensor, labels: tf.Tensor) -> Logs:
        inputs = to_model_input(images)
        targets = as_targets(labels, self._targets, self._classes)
        data: tuple[Any, ...] = inputs, targets
        if self._class_weights is not None:  # as Keras' fit does with class_weight
            data = inputs, targets, tf.gather(self._class_weights, labels)
        averaging = averaged_gradients(
            self._model, self._communicator, self._share, self._weight_decay
        )
        with self._precision(self._model), fused_layers(self._model), averaging:
            logs = self._model.train_step(data)
        flat: Logs = {}
        for name, value in (logs or {}).items():  # Keras lets a step return nothing
            flat |= value if isinstance(value, dict) else {name: value}
        return flat

    def reset_metrics(self) -> None:
        """Reset the metrics at the start of an epoch."""
        self._model.reset_metrics()

    def metrics(self) -> dict[str, float]:
        """Return the loss and metrics of the epoch so far, over the images of all ranks."""
        return metrics_of_all_ranks(self._model, self.logs, self._images, self._communicator)

    @property
    def unrecorded_logs(self) -> dict[str, float]:
        """Values that the latest step returned but that the model's metrics do not contain."""
        is_held = set(self.logs) == set(self._model.get_metrics_result())
        return {} if is_held else finite_metrics(self.logs)


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

    As in Horovod's ``DistributedOptimizer``, gradients are averaged in ``apply``, so this works
    with every ``train_step``. Loss scaling, clipping and gradient accumulation come afterwards, so
    all ranks skip the same steps if gradients are infinite. The context replaces the class of the
    optimizers, since Keras' ``train_step`` calls ``apply`` itself. ``share`` is this rank's share
    of the global batch, in (0, 1]: the weight of its gradients. ``weight_decay`` times the weights
    is added to the averaged gradients.
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
