"""Describes layers, calls and compilations, without their names, as values that can be hashed.

What cannot be described is a ``NotImplementedError``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras

from xnas_tf.keras_tools.compat import Node, excludes_by_name, metrics_in_compile, sublayers

_NAMES = ("name", "seed", "shared_object_id")


def describe_operation(operation: Any) -> list[Any]:
    """Return the class and configuration of a layer or another Keras operation."""
    kind = type(operation)
    with _describing(operation):
        config = _without_names(keras.saving.serialize_keras_object(operation.get_config()))
    is_layer = isinstance(operation, keras.layers.Layer)
    owners = [operation, *sublayers(operation)] if is_layer else [operation]
    functions = [name for owner in owners for name in _functions(owner)]
    return [kind.__module__, keras.saving.get_registered_name(kind), config, functions]


def describe_call(node: Node) -> list[Any]:
    """Return the arguments of a call without the tensors, which are edges of the graph."""
    arguments = keras.tree.map_structure(
        lambda value: "a tensor" if isinstance(value, keras.KerasTensor) else value,
        [node.arguments.args, node.arguments.kwargs],
    )
    if arguments[1].get("mask", "") is None:  # added by Keras if no mask was given
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
    return [config, [name for owner in _compiled(model) for name in _functions(owner)]]


def describe_variable(variable: keras.Variable) -> list[Any]:
    """Return what distinguishes a variable, except its value."""
    functions = [getattr(variable, name, None) for name in ("regularizer", "constraint")]
    config = _without_names(keras.saving.serialize_keras_object(functions))
    return ["variable", variable.shape, variable.dtype, variable.trainable, config]


@contextmanager
def _describing(owner: Any) -> Iterator[None]:
    """Raise ``NotImplementedError`` for what Keras cannot serialize, without its warnings."""
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


def _compiled(model: keras.Model) -> list[Any]:
    given = keras.tree.flatten([model.optimizer, model.loss, metrics_in_compile(model)])
    return [each for each in given if hasattr(each, "__dict__")]


def _functions(owner: Any) -> Iterator[list[str]]:
    """Yield Keras' functions among an object's attributes.

    In configurations ``keras.ops.gelu`` and ``keras.activations.gelu`` have the same name.
    """
    for value in [owner, *vars(owner).values()]:
        if isinstance(value, FunctionType):
            yield [value.__module__, value.__qualname__]
