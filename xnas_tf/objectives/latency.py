"""Latency: the inference time of an image on the device of deployment."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, RunError, suggest
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject
from xnas_tf.registry import describe
from xnas_tf.utils.heartbeat import report_progress

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

WARM_UP = 5
"""Calls before the measurement, during which TensorFlow traces and optimizes the graph."""


class Latency(Objective):
    """Median time per image in milliseconds; the 10th and 90th percentiles are also recorded.

    Measured on rank 0, with batches of float32 images and the network as a graph, after a
    warm-up. The precision depends on other load on the machine: on 2 shared CPU cores, ten
    measurements of one network had a standard deviation of 6 to 30% of their mean for any
    ``repeats`` from 20 to 100, because the load changes more slowly than a measurement takes
    (benchmarks/latency.py). Constraints should allow for this.
    """

    needs_training: ClassVar[bool] = False
    is_measured: ClassVar[bool] = True
    name: Literal["latency"] = "latency"
    batch_size: int = Field(1, ge=1, description="number of images per batch")
    repeats: int = Field(50, ge=3, description="number of timed batches")
    device: str = Field("auto", description="`/CPU:0`, `/GPU:0`, …; with `auto` TensorFlow chooses")

    def check(self, class_names: tuple[str, ...]) -> None:
        """See ``Objective.check``; the device must exist on every rank."""
        import tensorflow as tf

        names = (device.name for device in tf.config.list_logical_devices())
        allowed = ["auto", *(name.replace("/device:", "/") for name in names)]
        if self.device not in allowed:
            raise InputError(f"objectives: latency: device: {suggest(self.device, allowed)}")

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; rank 0 measures and broadcasts the result.

        Raises:
            RunError: On all ranks, if the network cannot be executed.
        """
        percentiles = subject.communicator.broadcast(
            self._measure(subject.model) if subject.communicator.rank == 0 else None
        )
        if isinstance(percentiles, str):
            raise RunError(f"{self.name} cannot be measured: {percentiles}")
        low, median, high = percentiles
        return ObjectiveValue(
            median, {f"{self.name}/percentile_10": low, f"{self.name}/percentile_90": high}
        )

    def _measure(self, model: keras.Model) -> list[float] | str:
        """Return the 10th, 50th and 90th percentiles in milliseconds per image, or an error.

        Errors are returned, not raised, because the other ranks wait for a message.
        """
        device = None if self.device == "auto" else self.device
        try:
            seconds = time_batches(model, self.batch_size, self.repeats, device)
        except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
            return describe(error)
        return [1e3 * float(q) / self.batch_size for q in np.percentile(seconds, [10, 50, 90])]


def time_batches(
    model: keras.Model, batch_size: int, repeats: int, device: str | None = None
) -> np.ndarray:
    """Time a built model's predictions for batches of random images.

    TensorFlow chooses the device if it is None.

    Returns:
        Seconds for each batch, (repeats,).
    """
    import tensorflow as tf

    from xnas_tf.keras_tools.inspection import inlined_calls
    from xnas_tf.keras_tools.tracing import freed_custom_gradients

    shape = (batch_size, *model.input_shape[1:])
    with freed_custom_gradients(), inlined_calls(model), tf.device(device):
        images = tf.constant(np.random.default_rng(0).random(shape, np.float32))
        # Copies, because a variable stays on the device where it was created.
        trainable = [tf.identity(v.value) for v in model.trainable_variables]
        others = [tf.identity(v.value) for v in model.non_trainable_variables]

        @tf.function
        def predict(images: tf.Tensor) -> tf.Tensor:
            return model.stateless_call(trainable, others, images, training=False)[0]

        for _ in range(WARM_UP):
            predict(images).numpy()
        seconds = np.zeros(repeats)
        for number in range(repeats):
            report_progress()
            start = perf_counter_ns()
            predict(images).numpy()  # waits for the device
            seconds[number] = (perf_counter_ns() - start) / 1e9
        return seconds
