"""Training one model data-parallel, with a constant global batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.models import ends_in_softmax
from xnas_tf.config.models import TrainingConfig
from xnas_tf.data import Dataset
from xnas_tf.data.batches import steps_per_epoch, training_batches
from xnas_tf.data.preprocessing import to_model_input
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RunError
from xnas_tf.evaluation.fused_batch_norm import fused_batch_norm

Step = Callable[[np.ndarray, np.ndarray], tf.Tensor]


class Trainer:
    """Trains one Keras model on this rank's share of every batch.

    Gradients are sums over the global batch divided by its size, so one rank and several
    give the same model (without BatchNorm, whose statistics are those of a rank's share).

    Args:
        model: A model; compiled with the configuration's optimizer unless it already is.
        dataset: The images; only ``dataset.train`` is touched.
        config: The configuration's section.
        communicator: The ranks that train this model together.
        seed: Seed of the order of images and of their augmentation.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        config: TrainingConfig,
        communicator: Communicator,
        seed: int,
    ) -> None:
        self._model = model
        self._dataset = dataset
        self._config = config
        self._communicator = communicator
        self._seed = seed
        self._batch_size = min(config.batch_size, len(dataset.train))
        self._weight_decay = 0.0
        if not model.compiled:
            self._weight_decay = config.weight_decay
            compile_model(model, config, steps_per_epoch(len(dataset.train), self._batch_size))
        model.optimizer.build(model.trainable_variables)
        communicator.broadcast_variables(model)
        self._step = self._make_step()

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains one epoch.

        Returns:
            Mean loss (regularisation included) and accuracy over the epoch's images, while
            the weights were changing.

        Raises:
            RunError: If the loss is no longer finite.
        """
        batches = training_batches(
            self._dataset,
            self._batch_size,
            self._config.augmentation,
            self._seed,
            epoch,
            self._communicator.rank,
            self._communicator.size,
        )
        steps = [self._step(tf.constant(b.images), tf.constant(b.labels)) for b in batches]
        (totals,) = self._communicator.sum(tf.add_n(steps).numpy().astype(np.float64))
        loss, correct = totals[0] / len(steps), totals[1] / (len(steps) * self._batch_size)
        if not math.isfinite(loss):
            raise RunError(f"the loss became {loss} in epoch {epoch + 1}")
        self._average_statistics()
        return {"loss": float(loss), "accuracy": float(correct)}

    def _make_step(self) -> Step:
        model, global_batch = self._model, self._batch_size
        one_hot = not _takes_class_numbers(model.loss)
        classes = self._dataset.classes

        @tf.function
        def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            inputs = to_model_input(images)
            targets = tf.one_hot(labels, classes) if one_hot else labels
            share = tf.cast(tf.shape(labels)[0], tf.float32) / global_batch
            with fused_batch_norm(model), tf.GradientTape() as tape:
                outputs = model(inputs, training=True)
                loss = model.compute_loss(inputs, targets, outputs) * share
            self._apply(tape.gradient(loss, model.trainable_variables))
            hits = tf.argmax(outputs, axis=-1, output_type=labels.dtype) == labels
            return tf.stack([loss, tf.reduce_sum(tf.cast(hits, tf.float32))])

        return step

    def _apply(self, gradients: list[tf.Tensor | None]) -> None:
        """Sums the gradients over the ranks and lets the optimizer use them."""
        model = self._model
        used = [
            (tf.convert_to_tensor(gradient), variable)
            for gradient, variable in zip(gradients, model.trainable_variables, strict=True)
            if gradient is not None
        ]
        summed = self._communicator.sum_tensors([g for g, _ in used], "gradients")
        variables = [variable for _, variable in used]
        if self._weight_decay:
            values = map(tf.convert_to_tensor, variables)
            summed = [g + self._weight_decay * v for g, v in zip(summed, values, strict=True)]
        model.optimizer.apply(summed, variables)

    def _average_statistics(self) -> None:
        """Gives every rank the mean of what layers such as BatchNorm gathered on each."""
        statistics = [
            variable
            for variable in self._model.non_trainable_variables
            if keras.backend.is_float_dtype(variable.dtype)
        ]
        if self._communicator.size == 1 or not statistics:
            return
        sums = self._communicator.sum(*(variable.numpy() for variable in statistics))
        for variable, total in zip(statistics, sums, strict=True):
            variable.assign(total / self._communicator.size)


def compile_model(model: keras.Model, config: TrainingConfig, steps: int) -> None:
    """Compiles a model as the configuration says.

    Args:
        model: A classifier that ends in a softmax, or in logits.
        config: The configuration's section.
        steps: Steps in an epoch, for the learning rate's schedule.
    """
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.learning_rate
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps * config.epochs)
    options = {"momentum": config.momentum, "nesterov": config.nesterov}
    optimizer = keras.optimizers.get(
        {
            "class_name": config.optimizer,
            "config": {"learning_rate": rate, **(options if config.optimizer == "sgd" else {})},
        }
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not ends_in_softmax(model))
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)


def _takes_class_numbers(loss: object) -> bool:
    """Whether a loss wants class numbers (sparse) rather than one-hot vectors."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return "sparse" in name.lower()
