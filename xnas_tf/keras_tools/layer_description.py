"""Describes layers, calls and ``compile`` arguments, without names, as hashable values.

These functions raise ``NotImplementedError`` for objects that cannot be described.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras

from xnas_tf.keras_tools.compat import Node, excludes_by_name, metrics_in_compile, sublayers

_NAMES = ("name", "seed", "shared_object_id")
_INCOMPLETE = (
    keras.Loss,
    keras.Metric,
    keras.Initializer,
    keras.Regularizer,
    keras.constraints.Constraint,
)
"""Keras classes whose ``get_config`` may omit arguments."""


def describe_operation(operation: Any) -> list[Any]:
    """Return the class and configuration of a layer or other Keras operation."""
    kind = type(operation)
    with _describing(operation):
        config = _without_names(keras.saving.serialize_keras_object(operation.get_config()))
    is_layer = isinstance(operation, keras.layers.Layer)
    owners = [operation, *sublayers(operation)] if is_layer else [operation]
    state = [_state(_left_out(owner)) for owner in owners]
    return [kind.__module__, keras.saving.get_registered_name(kind), config, state]


def describe_call(node: Node) -> list[Any]:
    """Return a call's arguments without the tensors, which are edges of the graph."""
    arguments = keras.tree.map_structure(
        lambda value: "a tensor" if isinstance(value, keras.KerasTensor) else value,
        [node.arguments.args, node.arguments.kwargs],
    )
    if arguments[1].get("mask", "") is None:  # Keras adds this if no mask was given
        del arguments[1]["mask"]
    with _describing(node.operation):
        return _without_names(keras.saving.serialize_keras_object(arguments))


def describe_compilation(model: keras.Model) -> list[Any]:
    """Return the arguments of ``compile``, such as optimizer and loss; empty if not compiled."""
    if not model.compiled:
        return []
    with _describing(model):
        config = _without_names(model.get_compile_config())
    if excludes_by_name(model.optimizer):
        raise NotImplementedError("the optimizer excludes variables, which get_config leaves out")
    metrics = metrics_in_compile(model)
    return [config, _state(model.loss), _state(vars(metrics) if metrics is not None else None)]


def describe_variable(variable: keras.Variable) -> list[Any]:
    """Return a variable's distinguishing properties, except its value."""
    functions = [getattr(variable, name, None) for name in ("regularizer", "constraint")]
    config = _without_names(keras.saving.serialize_keras_object(functions))
    return ["variable", variable.shape, variable.dtype, variable.trainable, config]


@contextmanager
def _describing(owner: Any) -> Iterator[None]:
    """Raise ``NotImplementedError`` if Keras cannot serialize an object; silence its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (TypeError, ValueError, OSError) as error:
        raise NotImplementedError(f"{owner.name} cannot be described: {error}") from error


def _without_names(config: Any) -> Any:
    if isinstance(config, (list, tuple)):
        return [_without_names(value) for value in config]
    if not isinstance(config, dict):
        return config
    if "Policy" in str(config.get("class_name")):  # the name of a data type is its value
        return config
    return {key: _without_names(value) for key, value in config.items() if key not in _NAMES}


def _left_out(layer: Any) -> dict[str, Any]:
    """Return the attributes of a layer that its configuration does not fully describe."""
    kinds = (*_INCOMPLETE, FunctionType)
    return {name: value for name, value in vars(layer).items() if isinstance(value, kinds)}


def _state(value: Any) -> Any:
    """Describe data, functions and objects, including attributes that Keras leaves out.

    Examples are the ``delta`` of ``Huber`` and the ``gain`` of ``Identity``. Keras identifies
    functions by name only, although ``keras.ops.gelu`` differs from ``keras.activations.gelu``.
    """
    if isinstance(value, FunctionType):
        return [value.__module__, value.__qualname__]
    if isinstance(value, list | tuple):
        return [_state(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _state(each) for key, each in value.items() if _counts(key)}
    if isinstance(value, _INCOMPLETE):
        return [type(value).__qualname__, _state(vars(value))]
    return value if isinstance(value, bool | int | float | str) else None


def _counts(name: Any) -> bool:
    return str(name).lstrip("_") not in (*_NAMES, "init_seed")
