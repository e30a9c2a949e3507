"""Compiles models with an optimizer, a loss and a metric, and weights the classes in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras.optimizers import schedules
from keras.optimizers.schedules import LearningRateSchedule

from xnas_tf.errors import InputError, suggest
from xnas_tf.keras_tools.targets import compile_head
from xnas_tf.training.options import TrainingOptions


def compile_model(model: keras.Model, config: TrainingOptions, steps: int) -> None:
    """Compile a classifier with the options for training and the number of steps per epoch."""
    rate = learning_rate(config, steps)
    options = {"momentum": config.momentum, "nesterov": config.nesterov}
    optimizer = keras.optimizers.get(
        {
            "class_name": config.optimizer,
            "config": {"learning_rate": rate, **(options if config.optimizer == "sgd" else {})},
        }
    )
    compile_head(model, optimizer)


def learning_rate(config: TrainingOptions, steps: int) -> float | LearningRateSchedule:
    """Return the learning rate as Keras expects it: a number or a schedule.

    ``steps`` is the number of steps per epoch. During the warm-up, if there is one, the rate rises
    linearly from 0 in the first step to the configured value. A cosine schedule then decreases it
    over the rest of the training. (The XNAS paper's code counts the cosine's steps from the
    beginning of the warm-up, so the rate reaches 0 too early, by the length of the warm-up.)
    """
    rate, warmup = config.learning_rate, int(config.warmup_epochs * steps)
    if config.schedule == "constant":
        return schedules.PolynomialDecay(0.0, warmup, rate) if warmup else rate
    if not warmup:
        return schedules.CosineDecay(rate, steps * config.epochs)
    return schedules.CosineDecay(
        0.0, steps * config.epochs - warmup, warmup_target=rate, warmup_steps=warmup
    )


def class_weights(given: Mapping[str, float], class_names: Sequence[str]) -> np.ndarray | None:
    """Return the weight of each class, (classes,), as float32; None if none is given.

    Weights are given by class name, or by class number if no class has that name.

    Raises:
        InputError: If a class does not exist, or is given twice.
    """
    if not given:
        return None
    numbers = {str(number): number for number in range(len(class_names))}
    known = numbers | {name: number for number, name in enumerate(class_names)}
    weights = np.full(len(class_names), np.nan, np.float32)
    for name, weight in given.items():
        if name not in known:
            raise InputError(f"training.class_weight: no class {suggest(name, class_names)}")
        if not np.isnan(weights[known[name]]):
            raise InputError(f"training.class_weight: class {known[name]} is given twice")
        weights[known[name]] = weight
    return np.nan_to_num(weights, nan=1.0)
