"""Whether training steps compute in bfloat16 and are compiled by XLA, where a trial is to say."""

from __future__ import annotations

import itertools
import time

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.config import Config
from xnas_tf.config.models import TrainingConfig
from xnas_tf.config.modes import open_modes, with_modes
from xnas_tf.data import Dataset
from xnas_tf.data.batches import steps_per_epoch
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.compiling import compile_model
from xnas_tf.evaluation.mixed_precision import check_devices
from xnas_tf.evaluation.step import Step
from xnas_tf.spaces.space import SearchSpace

STEPS = 20
"""Steps that a trial takes the mean of, after the first."""
LESS = 0.95
"""A mode must take this share of the time without it, at most: it has other last digits."""


def measure_modes(
    config: Config, dataset: Dataset, space: SearchSpace, world: Communicator
) -> tuple[dict[str, bool], str]:
    """Tries the open modes on the search space's default network, on all ranks at once.

    A mode is worth what it saves in a whole training, with the first step, which XLA makes longer.

    Args:
        config: The configuration.
        dataset: The images.
        space: The search space.
        world: All ranks; the slowest one's seconds count.

    Returns:
        The modes, the same on all ranks, and why they were chosen.
    """
    seconds: dict[tuple[bool, ...], float] = {}
    names = open_modes(config)
    for chosen in itertools.product((False, True), repeat=len(names)):
        training = with_modes(config, dict(zip(names, chosen, strict=True))).training
        if not (training.mixed_precision is True and _lacks_bfloat16()):
            mine = _seconds(training, dataset, space)
            seconds[chosen] = float(world.sum(np.eye(world.size)[world.rank] * mine)[0].max())
    plain, best = seconds[(False,) * len(names)], min(seconds, key=seconds.__getitem__)
    if seconds[best] > LESS * plain:
        best = (False,) * len(names)
    told = ", ".join(f"{_said(names, each)} {value:.1f} s" for each, value in seconds.items())
    return dict(zip(names, best, strict=True)), f"a training by {told}"


def _lacks_bfloat16() -> bool:
    try:
        check_devices()
    except InputError:
        return True
    return False


def _said(names: list[str], chosen: tuple[bool, ...]) -> str:
    taken = [name for name, is_taken in zip(names, chosen, strict=True) if is_taken]
    return " and ".join(taken) or "neither"


def _seconds(training: TrainingConfig, dataset: Dataset, space: SearchSpace) -> float:
    """What a whole training of the default network would take this rank alone."""
    count = min(training.batch_size, len(dataset.train))
    in_all = training.epochs * steps_per_epoch(len(dataset.train), count)
    model = space.default_model()
    compile_model(model, training, in_all)
    model.optimizer.build(model.trainable_variables)
    step = Step(model, dataset, count, 0.0, training, SingleProcess())
    batch = dataset.train.take(np.arange(count))
    images, labels = tf.constant(batch.images), tf.constant(batch.labels)

    def timed(steps: int) -> float:
        begin = time.perf_counter()
        for _ in range(steps):
            figures = step(images, labels)
        figures.numpy()  # waits for a GPU
        return time.perf_counter() - begin

    first, later = timed(1), timed(STEPS) / STEPS
    keras.backend.clear_session()
    return first + later * (in_all - 1)
