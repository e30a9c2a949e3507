"""Latency: how long a network takes for an image, on the device that will serve it."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, RunError, suggest
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import beat

if TYPE_CHECKING:
    import keras

WARM_UP = 5
"""Calls that are not timed: TensorFlow traces in the first and optimises in the next."""


class Latency(Objective):
    """Median time for an image, in milliseconds; the 10th and 90th percentile are recorded too.

    Float32 images go through the compiled network, a batch at a time, on one rank, after
    a warm-up. It is as good as the machine is quiet: on 2 shared CPU cores ten measurements
    of one network had a standard deviation of 6 to 30% of their mean, whatever ``repeats``
    (20 to 100), as the noise is slower than a measurement (benchmarks/latency.py). Limits
    need that much room.
    """

    needs_training: ClassVar[bool] = False
    is_measured: ClassVar[bool] = True
    name: Literal["latency"] = "latency"
    batch_size: int = Field(1, ge=1, description="images at a time")
    repeats: int = Field(50, ge=3, description="batches that are timed")
    device: str = Field(
        "auto", description="`/CPU:0`, `/GPU:0`, …; `auto`: the one that TensorFlow chooses"
    )

    def check(self, class_names: tuple[str, ...]) -> None:
        """See ``Objective.check``; the device must be there, on every rank."""
        import tensorflow as tf

        found = [
            device.name.replace("/device:", "/") for device in tf.config.list_logical_devices()
        ]
        if self.device not in ("auto", *found):
            raise InputError(
                f"objectives: latency: device: {suggest(self.device, ['auto', *found])}"
            )

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; rank 0 measures, and tells the others.

        Raises:
            RunError: On all ranks, if the network cannot be run.
        """
        figures = subject.communicator.broadcast(
            self._measured(subject.model) if subject.communicator.rank == 0 else None
        )
        if isinstance(figures, str):
            raise RunError(f"{self.name} cannot be measured: {figures}")
        low, median, high = figures
        return ObjectiveValue(
            median, {f"{self.name}/percentile_10": low, f"{self.name}/percentile_90": high}
        )

    def _measured(self, model: keras.Model) -> list[float] | str:
        """The 10th, 50th and 90th percentile in milliseconds an image, or what went wrong: the
        other ranks wait, so that it must not be raised here."""
        device = None if self.device == "auto" else self.device
        try:
            seconds = time_batches(model, self.batch_size, self.repeats, device)
        except Exception as error:  # a user's layers may raise anything at all
            return describe(error)
        return [1e3 * float(q) / self.batch_size for q in np.percentile(seconds, [10, 50, 90])]


def time_batches(
    model: keras.Model, batch_size: int, repeats: int, device: str | None = None
) -> np.ndarray:
    """Times a model's answers to batches of random images.

    Args:
        model: A built Keras model that takes images.
        batch_size: Images in a batch.
        repeats: Batches that are timed.
        device: TensorFlow's name of a device; None for the one that TensorFlow chooses.

    Returns:
        Seconds for each batch, (repeats,).
    """
    import tensorflow as tf

    from xnas_tf.keras_tools.inspection import inlined_calls
    from xnas_tf.keras_tools.tracing import forgotten_custom_gradients

    shape = (batch_size, *model.input_shape[1:])
    with forgotten_custom_gradients(), inlined_calls(model), tf.device(device):
        images = tf.constant(np.random.default_rng(0).random(shape, np.float32))
        # Copies, since a variable stays on the device on which it was made.
        trainable = [tf.identity(v.value) for v in model.trainable_variables]
        others = [tf.identity(v.value) for v in model.non_trainable_variables]

        @tf.function
        def answers(images: tf.Tensor) -> tf.Tensor:
            return model.stateless_call(trainable, others, images, training=False)[0]

        for _ in range(WARM_UP):
            answers(images).numpy()
        return np.array([_seconds(answers, images) for _ in range(repeats)])


def _seconds(answers, images) -> float:
    beat()
    start = perf_counter_ns()
    answers(images).numpy()  # waits for the device
    return (perf_counter_ns() - start) / 1e9
