"""All non-public Keras and TensorFlow names that this package uses.

New versions of Keras and TensorFlow may move or rename these names without notice. If a name has
moved, tests/unit/test_compat.py fails, and this module needs fixing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.saving import serialization_lib
from keras.src.utils.naming import reset_uids
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
    convert_variables_to_constants_v2_as_graph,
)
from tensorflow.python.framework.ops import gradient_registry


class Node(Protocol):
    """One call of a layer or operation in a functional model's graph."""

    operation: Any
    arguments: Any  # as ``args`` and ``kwargs``, with symbolic tensors
    input_tensors: list[keras.KerasTensor]  # those among the arguments, flattened
    outputs: list[keras.KerasTensor]  # flattened
    is_input: bool  # whether this node is an input of the model


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return all layers inside a layer or model, at any depth."""
    return layer._flatten_layers(include_self=False)


def has_graph(model: Any) -> bool:
    """Return whether an object is a functional model, including subclasses."""
    return hasattr(model, "_nodes_by_depth")


def graph_nodes(model: keras.Model) -> Iterator[Node]:
    """Yield the calls in a functional or built sequential model in topological order."""
    by_depth = getattr(model, "_functional", model)._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from (node for node in by_depth[depth] if not node.is_input)


def producer(tensor: keras.KerasTensor) -> Any:
    """Return the layer or operation that returned a symbolic tensor."""
    return tensor._keras_history.operation


def untraced(function: tf.types.experimental.PolymorphicFunction) -> Any:
    """Return the Python function from which a ``tf.function`` was created."""
    return function.python_function


def rename_variable(variable: keras.Variable, path: str) -> None:
    """Change a variable's path, such as ``dense/kernel``."""
    variable._path = path


def metrics_in_compile(model: keras.Model) -> keras.metrics.Metric | None:
    """Return the metrics given to ``compile`` as a single metric, or None if there are none."""
    return model._compile_metrics


def excludes_by_name(optimizer: keras.optimizers.Optimizer | None) -> bool:
    """Return whether ``exclude_from_weight_decay`` was called; ``get_config`` omits this."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    names = ("_exclude_from_weight_decay_pattern", "_exclude_from_weight_decay")
    return any(getattr(optimizer, name, None) for name in names)


def reset_layer_names() -> None:
    """Reset layer numbering: the next unnamed layer is ``dense`` again, not ``dense_7``."""
    reset_uids()


def logits_behind(outputs: Any) -> Any:
    """Return the logits that Keras stores with its softmax or sigmoid outputs, or None.

    Keras computes losses from these logits, because a probability rounded to 0 has no logarithm.
    """
    return getattr(outputs, "_keras_logits", None)


def with_logits(outputs: tf.Tensor, logits: Any) -> tf.Tensor:
    """Attach logits to outputs, so that Keras' losses use the logits."""
    outputs._keras_logits = tf.convert_to_tensor(logits)
    return outputs


def safe_mode() -> bool | None:
    """Return whether Keras rejects code in files, or None if this has not been set."""
    return serialization_lib.in_safe_mode()


def set_safe_mode(value: bool | None) -> None:
    """Set the value of ``safe_mode``, as ``keras.config.enable_unsafe_deserialization`` does."""
    global_state.set_global_attribute("safe_mode_saving", value)


def custom_gradients() -> set[str]:
    """Return the names of all custom gradients in TensorFlow's table for this process."""
    return set(gradient_registry.list())


def remove_custom_gradients(names: Iterable[str]) -> None:
    """Remove custom gradients from TensorFlow's table for this process."""
    for name in names:
        del gradient_registry._registry[name]


def freeze(function: Any) -> Any:
    """Return a concrete function with its variables converted to constants."""
    return convert_variables_to_constants_v2(function)


def freeze_graph(function: Any) -> Any:
    """Return a concrete function's ``GraphDef``, with variables converted to constants."""
    _, graph = convert_variables_to_constants_v2_as_graph(function)
    return graph
