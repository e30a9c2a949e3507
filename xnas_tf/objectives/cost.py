"""Cost objectives, which are known exactly before training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from xnas_tf.errors import NotApplicable
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
    layers built from TensorFlow operations. It does not know the products of attention and other
    `einsum` layers, which are added. Networks with loops, or for images of any size, are rejected.
    """

    lowest: ClassVar[float] = 0.0
    needs_training: ClassVar[bool] = False
    name: Literal["flops"] = "flops"

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``."""
        return ObjectiveValue(float(count_flops(subject.model)))


def count_flops(model: keras.Model) -> int:
    """Count the floating-point operations of a Keras model on one image.

    Raises:
        NotApplicable: If they depend on the image, or the model contains a loop.
    """
    import tensorflow as tf

    shape = (1, *model.input_shape[1:])
    if None in shape:
        raise NotApplicable(
            f"flops: the model takes images of any size, {model.input_shape}; allowed: one size, "
            "as in keras.Input((32, 32, 3))"
        )
    graph_def = _inference_graph(model, shape)
    if any(node.op.endswith("PartitionedCall") for node in graph_def.node):
        # Functions that are still separate, as in grouped convolutions, would count as 0.
        eager = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            graph_def = _inference_graph(model, shape)
        finally:
            tf.config.run_functions_eagerly(eager)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        profile = tf.compat.v1.profiler.profile(
            graph, options={**options, "output": "none"}, cmd="op"
        )
    operations = graph.get_operations()
    if any(each.type == "LoopCond" for each in operations):
        raise NotApplicable("flops: the model contains a loop, whose operations are not known")
    einsums = (each for each in operations if each.type == "Einsum")
    return profile.total_float_ops + sum(map(_flops_of_einsum, einsums))


def _inference_graph(model: keras.Model, shape: tuple[int, ...]) -> Any:
    """Return the ``GraphDef`` of a model for images of a shape, with weights as constants."""
    import tensorflow as tf

    from xnas_tf.keras_tools.compat import freeze_graph

    forward = tf.function(lambda image: model(image, training=False))
    return freeze_graph(forward.get_concrete_function(tf.TensorSpec(shape, tf.float32)))


def _flops_of_einsum(operation: Any) -> int:
    """Return two operations per product, as for a matrix product; the profiler counts none."""
    terms, result = operation.get_attr("equation").decode().split("->")
    sizes: dict[str, Any] = {}
    for term, operand in zip(terms.split(","), operation.inputs, strict=True):
        before, _, after = term.partition("...")
        shape = operand.shape.as_list()
        sizes |= zip(before, shape, strict=False)
        sizes |= zip(reversed(after), reversed(shape), strict=False)
    elements = operation.outputs[0].shape.num_elements()
    if elements is None or None in sizes.values():
        raise NotApplicable("flops: the model contains an `einsum` of tensors of unknown size")
    summed = math.prod(size for label, size in sizes.items() if label not in result)
    return 2 * summed * elements
