"""Optimizer, loss and metric of a model."""

from __future__ import annotations

import keras

from xnas_tf.keras_tools.head import compile_head
from xnas_tf.training.options import TrainingOptions


def compile_model(model: keras.Model, config: TrainingOptions, steps: int) -> None:
    """Compile a model according to the configuration.

    Args:
        model: A classifier; see ``check_head``.
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
    compile_head(model, optimizer)
