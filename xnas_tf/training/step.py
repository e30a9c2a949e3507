"""Training steps: the model's own ``train_step``, traced."""

from __future__ import annotations

from contextlib import nullcontext
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
from xnas_tf.keras_tools.targets import takes_class_numbers
from xnas_tf.keras_tools.tracing import traced
from xnas_tf.training.averaged_gradients import averaged_gradients
from xnas_tf.training.metrics import as_floats
from xnas_tf.training.options import TrainingOptions

Logs = dict[str, Any]


class Step:
    """Runs a compiled model's ``train_step``, each time on this rank's share of a global batch.

    Loss, metrics, loss scaling and all else are Keras'; only the gradients are averaged over the
    ranks, weighted by their shares, before they are applied.

    Attributes:
        has_run: Whether a step was run: the first one may be traced.

    Args:
        model: The compiled model.
        dataset: The data set of the images.
        batch_size: Number of images in a global batch.
        weight_decay: That of the configuration; 0 if the model has its own optimizer.
        config: The ``training`` section.
        communicator: The ranks that share a batch.
        runs: Maximum number of steps; many if None.
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
        self._classes = 0 if takes_class_numbers(model, dataset.classes) else dataset.classes
        self._communicator = communicator
        mine = shard(batch_size, communicator.rank, communicator.size)
        self._share = len(mine) / batch_size
        self._weight_decay = weight_decay
        self._precision = mixed_precision if config.mixed_precision else nullcontext
        if config.jit_compile:
            self._run = tf.function(self._step, autograph=False, jit_compile=True)
        else:
            self._run = self._step if model.run_eagerly else traced(self._step, runs)
        self._logs: Logs = {}
        self.has_run = False

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Update the weights with one batch.

        Args:
            images: This rank's images of the batch, (B, H, W, C), uint8.
            labels: Their classes, (B,).
        """
        self._logs = self._run(tf.constant(images), tf.constant(labels))
        self.has_run = True

    def wait(self) -> None:
        """Wait until a GPU has computed the latest step."""
        self._logs = {name: np.asarray(value) for name, value in self._logs.items()}

    def _step(self, images: tf.Tensor, labels: tf.Tensor) -> Logs:
        inputs = to_model_input(images)
        targets = tf.one_hot(labels, self._classes) if self._classes else labels
        averaging = averaged_gradients(
            self._model, self._communicator, self._share, self._weight_decay
        )
        with self._precision(self._model), fused_layers(self._model), averaging:
            return dict(self._model.train_step((inputs, targets)))

    def reset_metrics(self) -> None:
        """Start the metrics of an epoch."""
        self._model.reset_metrics()

    def metrics(self) -> dict[str, float]:
        """Return the loss and metrics of the epoch so far, over the images of all ranks.

        As in Keras, these are the results of the model's metrics, or what ``train_step`` returned
        last if that has other names. The variables of Keras' metrics are sums over images or
        steps, so they are summed over the ranks.
        """
        if self._logs and set(self._logs) != set(self._model.get_metrics_result()):
            logs = as_floats(self._logs)
            shares = np.array([self._share * value for value in logs.values()])
            return dict(zip(logs, self._communicator.sum(shares)[0].tolist(), strict=True))
        if self._communicator.size > 1:
            variables = self._model.metrics_variables
            totals = self._communicator.sum(*map(np.asarray, variables))
            for variable, total in zip(variables, totals, strict=True):
                variable.assign(total)
        return as_floats(self._model.get_metrics_result())
