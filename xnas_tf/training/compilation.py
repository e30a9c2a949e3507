"""The optimizer and the loss of a model."""

from __future__ import annotations

import keras

from xnas_tf.keras_tools.inspection import ends_in_softmax
from xnas_tf.training.options import TrainingOptions


def compile_model(model: keras.Model, config: TrainingOptions, steps: int) -> None:
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
