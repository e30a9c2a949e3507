"""Hashes of built Keras models; models with the same hash are the same network.

Layers, calls and ``compile`` arguments are described by values without names. Those that cannot be
described raise a ``NotImplementedError``.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras
from keras import layers

from xnas_tf.keras_tools.compat import (
    Node,
    excludes_by_name,
    graph_nodes,
    metrics_in_compile,
    sublayers,
)
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.graph_hash import Edge, Graph
from xnas_tf.keras_tools.inspection import is_transparent

COMMUTATIVE = (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply)
"""Layers that do not depend on the order of their inputs."""
Source = tuple[int, int]
"""The vertex of a call and the index of one of its outputs."""
_NAMES = ("name", "seed", "shared_object_id")
_INCOMPLETE = (
    keras.Loss,
    keras.Metric,
    keras.Initializer,
    keras.Regularizer,
    keras.constraints.Constraint,
)
"""Keras classes whose ``get_config`` may omit arguments."""


def network_digest(model: keras.Model) -> str:
    """Hash a built model's graph; models with the same digest are the same network.

    The graph's vertices are calls to layers and operations, and the variables that they use, so
    models with shared weights differ from models with separate weights. The vertices' labels
    contain classes, configurations, shapes and trainability, but no names, seeds or weight values.
    Nested models are part of the graph, the inputs of commutative merge layers are unordered, and a
    sum of sums is a single sum, so the FLOPs of models with the same digest may differ by a few
    additions. If the model is compiled, the digest also depends on its optimizer and loss.

    Only isomorphic graphs have the same digest, however they were built; see ``Graph.digest``.

    Raises:
        NotImplementedError: If the model or its compile settings contain a class or function that
            is not from Keras (see ``custom_code``), or the model has no graph.
    """
    if (custom := next(custom_code(model), None)) is not None:
        raise NotImplementedError(f"{custom!r} is not a class or function of Keras")
    if not is_transparent(model):
        raise NotImplementedError(f"{model.name} is neither functional nor sequential")
    network = _Network()
    inputs = [(network.add(["input", i, t.shape, t.dtype]), 0) for i, t in enumerate(model.inputs)]
    outputs = network.inline(model, inputs, [])
    edges = [(f"output {i}, {index}", vertex) for i, (vertex, index) in enumerate(outputs)]
    return network.digest(network.add(describe_compilation(model), edges))


class _Network(Graph):
    """A Keras model's graph."""

    def __init__(self) -> None:
        super().__init__()
        self._variables: dict[int, int] = {}
        self._sums: dict[int, tuple[list[Any], Counter[Source]]] = {}

    def inline(self, model: keras.Model, inputs: list[Source], context: list[Any]) -> list[Source]:
        """Add the calls in a model and in models nested in it; return the sources of its outputs.

        The context consists of the arguments with which the enclosing models are called.
        """
        found = dict(zip(map(id, model.inputs), inputs, strict=True))
        for node in graph_nodes(model):
            sources = [found[id(tensor)] for tensor in node.input_tensors]
            layer, (positional, named) = node.operation, describe_call(node)
            if is_transparent(layer) and len(sources) == len(layer.inputs):
                more = [positional[1:], named]  # such as training=False
                outputs = self.inline(layer, sources, [*context, more] if any(more) else context)
            else:
                vertex = self._add_call(layer, sources, [*context, positional, named])
                outputs = [(vertex, index) for index in range(len(node.outputs))]
            found.update(zip(map(id, node.outputs), outputs, strict=True))
        return [found[id(tensor)] for tensor in model.outputs]

    def _add_call(self, operation: Any, sources: list[Source], arguments: list[Any]) -> int:
        if type(operation) in COMMUTATIVE:
            return self._add_merge(operation, sources)
        edges = [(f"{i}, {index}", vertex) for i, (vertex, index) in enumerate(sources)]
        edges += self._weights(operation)
        return self.add([describe_operation(operation), arguments], edges)

    def _add_merge(self, layer: layers.Layer, sources: list[Source]) -> int:
        """Add a commutative merge; a sum absorbs the terms of inputs that are sums like it."""
        description = describe_operation(layer)
        terms: Counter[Source] = Counter()
        for source in sources:
            known, summed = self._sums.get(source[0], (None, None))
            terms.update([source] if summed is None or known != description else summed)
        edges = [(f"{count} times {index}", vertex) for (vertex, index), count in terms.items()]
        merged = self.add(description, edges)
        if type(layer) is layers.Add:
            self._sums[merged] = (description, terms)
        return merged

    def _weights(self, operation: Any) -> Iterator[Edge]:
        for i, variable in enumerate(getattr(operation, "variables", ())):
            if id(variable) not in self._variables:
                self._variables[id(variable)] = self.add(describe_variable(variable))
            yield f"variable {i}", self._variables[id(variable)]


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
