"""Training steps."""

from __future__ import annotations

from contextlib import nullcontext

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data import Dataset
from xnas_tf.distributed import Communicator
from xnas_tf.keras_tools.fused_layers import fused_layers
from xnas_tf.keras_tools.mixed_precision import mixed_precision
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.targets import takes_class_numbers
from xnas_tf.keras_tools.tracing import traced
from xnas_tf.training.options import TrainingOptions

Gradients = list[tf.Tensor | None]


class Step:
    """Runs training steps, each on this rank's share of a global batch.

    Attributes:
        has_run: Whether a step was run: the first one may be traced.

    Args:
        model: The compiled model.
        dataset: The data set of the images.
        batch_size: Number of images in a global batch.
        weight_decay: That of the configuration; 0 if the model has its own optimizer.
        config: The configuration's section.
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
        self._classes = 0 if takes_class_numbers(model.loss) else dataset.classes
        self._batch_size = batch_size
        self._weight_decay = weight_decay
        self._communicator = communicator
        self._precision = mixed_precision if config.mixed_precision else nullcontext
        # Sums over the ranks stay outside: Horovod has operations for XLA on GPUs alone.
        self._gradients = self._differentiate
        if config.jit_compile:
            self._gradients = tf.function(self._differentiate, jit_compile=True)
        self._run = traced(self._step, runs)
        self.has_run = False

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> tf.Tensor:
        """Update the weights with one batch.

        Args:
            images: This rank's images of the batch, (B, H, W, C), uint8.
            labels: Their classes, (B,).

        Returns:
            Loss and number of correct predictions of the global batch, (2,), float64.
        """
        self.has_run = True
        return self._run(tf.constant(images), tf.constant(labels))

    def _step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        variables = self._model.trainable_variables
        sums, gradients = self._gradients(images, labels)
        used = [i for i, gradient in enumerate(gradients) if gradient is not None]
        mine = [sums, *(gradients[i] for i in used)]
        sums, *summed = self._communicator.sum_tensors(mine, "gradients")
        self._apply(summed, [variables[i] for i in used])
        return tf.cast(sums, tf.float64)

    def _differentiate(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, Gradients]:
        """Return this rank's share of loss and hits, and of the gradients (None without any)."""
        model, inputs = self._model, to_model_input(images)
        targets = tf.one_hot(labels, self._classes) if self._classes else labels
        share = tf.cast(tf.shape(labels)[0], tf.float32) / self._batch_size
        with self._precision(model), fused_layers(model), tf.GradientTape() as tape:
            outputs = tf.cast(model(inputs, training=True), tf.float32)
            loss = model.compute_loss(inputs, targets, outputs) * share
        gradients = tape.gradient(loss, model.trainable_variables)
        hits = tf.argmax(outputs, axis=-1, output_type=labels.dtype) == labels
        sums = tf.stack([loss, tf.reduce_sum(tf.cast(hits, tf.float32))])
        return sums, [None if g is None else tf.convert_to_tensor(g) for g in gradients]

    def _apply(self, gradients: list[tf.Tensor], variables: list[keras.Variable]) -> None:
        """Update the variables with gradients that were summed over the ranks."""
        if self._weight_decay:
            values = map(tf.convert_to_tensor, variables)
            pairs = zip(gradients, values, strict=True)
            gradients = [g + self._weight_decay * value for g, value in pairs]
        self._model.optimizer.apply(gradients, variables)
