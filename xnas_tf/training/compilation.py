"""Optimizer, loss and metric of a model."""

from __future__ import annotations

import keras

from xnas_tf.keras_tools.inspection import ends_in_softmax
from xnas_tf.training.options import TrainingOptions


def compile_model(model: keras.Model, config: TrainingOptions, steps: int) -> None:
    """Compile a model according to the configuration.

    Args:
        model: A classifier that ends in a softmax or in logits.
        config: The ``training`` section.
        steps: Number of steps per epoch, for the learning rate schedule.
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
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer=optimizer, loss=loss, metrics=[accuracy], jit_compile=False)
