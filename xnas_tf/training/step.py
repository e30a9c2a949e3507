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
from xnas_tf.keras_tools.tracing import by_batches
from xnas_tf.training.options import TrainingOptions

Gradients = list[tf.Tensor | None]


class Step:
    """Training steps, each on this rank's share of a global batch.

    Attributes:
        has_run: Whether it has run: the first time it may be traced.

    Args:
        model: The compiled model.
        dataset: What the images are of.
        batch_size: Images in a global batch.
        weight_decay: Of the configuration; 0 where the model has its own optimizer.
        config: The configuration's section.
        communicator: The ranks that share a batch.
        runs: How many steps it will take, at most; many if None.
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
        self._run = by_batches(self._step, tf.float64, runs)
        self.has_run = False

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> tf.Tensor:
        """Changes the weights, batch after batch.

        Args:
            images: This rank's images of each batch, (K, B, H, W, C), uint8.
            labels: Their classes, (K, B).

        Returns:
            Loss and right answers in each global batch, (K, 2), float64.
        """
        self.has_run = True
        return self._run(images, labels)

    def _step(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        variables = self._model.trainable_variables
        figures, gradients = self._gradients(images, labels)
        used = [i for i, gradient in enumerate(gradients) if gradient is not None]
        mine = [figures, *(gradients[i] for i in used)]
        figures, *summed = self._communicator.sum_tensors(mine, "gradients")
        self._apply(summed, [variables[i] for i in used])
        return tf.cast(figures, tf.float64)

    def _differentiate(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, Gradients]:
        """This rank's part of the figures and of the gradients; None where there is none."""
        model, inputs = self._model, to_model_input(images)
        targets = tf.one_hot(labels, self._classes) if self._classes else labels
        share = tf.cast(tf.shape(labels)[0], tf.float32) / self._batch_size
        with self._precision(model), fused_layers(model), tf.GradientTape() as tape:
            outputs = tf.cast(model(inputs, training=True), tf.float32)
            loss = model.compute_loss(inputs, targets, outputs) * share
        gradients = tape.gradient(loss, model.trainable_variables)
        hits = tf.argmax(outputs, axis=-1, output_type=labels.dtype) == labels
        figures = tf.stack([loss, tf.reduce_sum(tf.cast(hits, tf.float32))])
        return figures, [None if g is None else tf.convert_to_tensor(g) for g in gradients]

    def _apply(self, gradients: list[tf.Tensor], variables: list[keras.Variable]) -> None:
        """Lets the optimizer use gradients that were summed over the ranks."""
        if self._weight_decay:
            values = map(tf.convert_to_tensor, variables)
            pairs = zip(gradients, values, strict=True)
            gradients = [g + self._weight_decay * value for g, value in pairs]
        self._model.optimizer.apply(gradients, variables)
