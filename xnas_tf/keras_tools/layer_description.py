"""Describes layers, calls and compilations, without their names, as values that can be hashed.

What cannot be described is a ``NotImplementedError``.
"""

from __future__ import annotations

import marshal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras

from xnas_tf.keras_tools.compat import Node, sublayers

_NAMES = ("name", "seed", "shared_object_id")


def describe_operation(operation: Any) -> list[Any]:
    """Return the class and configuration of a layer or another Keras operation."""
    kind = type(operation)
    with _describing(operation):
        config = _without_names(keras.saving.serialize_keras_object(operation.get_config()))
    is_layer = isinstance(operation, keras.layers.Layer)
    owners = [operation, *sublayers(operation)] if is_layer else [operation]
    functions = [code for owner in owners for code in _functions(owner)]
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
    losses = [loss for loss in keras.tree.flatten(model.loss) if hasattr(loss, "__dict__")]
    functions = [code for owner in [model.optimizer, *losses] for code in _functions(owner)]
    return [config, functions]


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


def _functions(owner: Any) -> Iterator[list[Any]]:
    """Yield the code of an object's functions whose name does not identify them.

    A function that is defined inside another may depend on the other's variables, such as
    hyperparameters, which no configuration contains. A class inside a function is refused.
    """
    for value in [owner, *vars(owner).values()]:
        if "<locals>" in type(value).__qualname__:
            raise NotImplementedError(
                f"{type(value).__name__} is defined inside a function, on whose variables it may "
                "depend; define it at the top of its module"
            )
        if isinstance(value, FunctionType) and "<" in value.__qualname__:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            # Later versions of the format also depend on other references to a constant.
            code = marshal.dumps(value.__code__, 2).hex()
            yield [code, value.__defaults__, value.__kwdefaults__, cells]
