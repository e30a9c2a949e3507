"""Cost objectives, which are known exactly before training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    import keras


class Parameters(Objective):
    """Number of trainable parameters."""

    lowest: ClassVar[float] = 0.0
    needs_training: ClassVar[bool] = False
    name: Literal["parameters"] = "parameters"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``."""
        return ObjectiveValue(
            float(sum(math.prod(v.shape) for v in subject.model.trainable_variables))
        )


class Flops(Objective):
    """Number of floating-point operations per image; a multiplication and an addition count as two.

    TensorFlow's profiler counts the operations in the inference graph, including those of all
    layers built from TensorFlow operations.
    """

    lowest: ClassVar[float] = 0.0
    needs_training: ClassVar[bool] = False
    name: Literal["flops"] = "flops"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``."""
        return ObjectiveValue(float(count_flops(subject.model)))


def count_flops(model: keras.Model) -> int:
    """Count the floating-point operations of a Keras model on one image."""
    import tensorflow as tf

    from xnas_tf.keras_tools.compat import freeze_graph

    shape = (1, *model.input_shape[1:])
    forward = tf.function(lambda image: model(image, training=False))
    concrete = forward.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    graph_def = freeze_graph(concrete)  # needs eager execution
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        profile = tf.compat.v1.profiler.profile(
            graph, options={**options, "output": "none"}, cmd="op"
        )
    return profile.total_float_ops
