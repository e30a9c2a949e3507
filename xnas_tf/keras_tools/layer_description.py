"""What a layer, a call or a compilation is, apart from its name: values that can be hashed."""

from __future__ import annotations

import marshal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras

_NAMES = ("name", "seed", "shared_object_id")


def describe_operation(operation: Any) -> list:
    """The class and configuration of a layer or another Keras operation.

    Raises:
        NotImplementedError: If it cannot say what it is.
    """
    kind = type(operation)
    with _describing(operation):
        config = _nameless(keras.saving.serialize_keras_object(operation.get_config()))
    is_layer = isinstance(operation, keras.layers.Layer)
    parts = operation._flatten_layers() if is_layer else [operation]
    functions = [code for part in parts for code in _functions(part)]
    return [kind.__module__, keras.saving.get_registered_name(kind), config, functions]


def describe_call(node: Any) -> list:
    """The arguments of a call, without the tensors: these are edges of the graph.

    Args:
        node: Keras' node of the call.

    Raises:
        NotImplementedError: If one cannot be described.
    """
    arguments = keras.tree.map_structure(
        lambda value: "a tensor" if isinstance(value, keras.KerasTensor) else value,
        [node.arguments.args, node.arguments.kwargs],
    )
    if arguments[1].get("mask", "") is None:  # Keras says so where nobody did
        del arguments[1]["mask"]
    with _describing(node.operation):
        return _nameless(keras.saving.serialize_keras_object(arguments))


def describe_compilation(model: keras.Model) -> list:
    """The optimizer, the loss and the rest of what ``compile`` was given; empty without it.

    Raises:
        NotImplementedError: If one cannot be described.
    """
    if not model.compiled:
        return []
    with _describing(model):
        config = _nameless(model.get_compile_config())
    losses = [loss for loss in keras.tree.flatten(model.loss) if hasattr(loss, "__dict__")]
    functions = [code for part in [model.optimizer, *losses] for code in _functions(part)]
    return [config, functions]


@contextmanager
def _describing(owner: Any) -> Iterator[None]:
    """Inside, what Keras cannot serialize counts as not described, without its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (TypeError, ValueError, OSError) as error:
        raise NotImplementedError(f"{owner.name} cannot be described: {error}") from error


def _nameless(config: Any) -> Any:
    if isinstance(config, (list, tuple)):
        return [_nameless(value) for value in config]
    if not isinstance(config, dict):
        return config
    if "Policy" in str(config.get("class_name")):  # the name of a data type is what it is
        return config
    return {key: _nameless(value) for key, value in config.items() if key not in _NAMES}


def _functions(owner: Any) -> Iterator[list]:
    """The code of functions that an object is made of and whose name does not say all.

    A function that is defined inside another may depend on the other's variables, such as
    hyperparameters, which no configuration shows.

    Raises:
        NotImplementedError: If the object is of a class that is defined inside a function.
    """
    for part in [owner, *vars(owner).values()]:
        if "<locals>" in type(part).__qualname__:
            raise NotImplementedError(
                f"{type(part).__name__} is defined inside a function, on whose variables it may "
                "depend; define it at the top of its module"
            )
        if isinstance(part, FunctionType) and "<" in part.__qualname__:
            cells = [cell.cell_contents for cell in part.__closure__ or ()]
            # Later versions of the format also tell what else refers to a constant.
            code = marshal.dumps(part.__code__, 2).hex()
            yield [code, part.__defaults__, part.__kwdefaults__, cells]
