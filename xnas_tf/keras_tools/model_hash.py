"""Hashes of built Keras models; models with the same hash are the same network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from xnas_tf.keras_tools.compat import graph_nodes
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.graph_hash import Edge, Graph
from xnas_tf.keras_tools.inspection import is_transparent
from xnas_tf.keras_tools.layer_description import (
    describe_call,
    describe_compilation,
    describe_operation,
    describe_variable,
)

COMMUTATIVE = (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply)
"""Layers that do not depend on the order of their inputs."""
Source = tuple[int, int]
"""The vertex of a call and the index of one of its outputs."""


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
        """Add a commutative merge.

        A sum absorbs the terms of inputs that are sums with the same configuration.
        """
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
