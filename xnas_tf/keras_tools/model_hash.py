"""Which Keras models are the same network: a hash of a built model's graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras

from xnas_tf.keras_tools.graph_hash import Edge, Graph
from xnas_tf.keras_tools.inspection import is_transparent
from xnas_tf.keras_tools.layer_description import (
    describe_call,
    describe_compilation,
    describe_operation,
)

COMMUTATIVE = (
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
)
"""Layers whose inputs have no order."""

Source = tuple[int, int]
"""A vertex of a call, and which of its outputs."""


def network_digest(model: keras.Model) -> str:
    """Hashes a built model's graph: two models of the same digest are the same network.

    The vertices of the graph are the calls of layers and operations, and the variables that
    they use, so that shared weights differ from weights of their own. They carry classes,
    configurations, shapes, and whether they train; names and seeds don't count. Nested models
    are part of the graph, the inputs of commutative merge layers have no order, and a sum of
    sums is one sum (so that the FLOPs of models of one digest may differ by some additions).
    Where the model is compiled, its optimizer and loss count too.

    Equal digests are of isomorphic graphs only; the same graph made in another way has the
    same digest: see ``Graph.digest``. What weights hold is not looked at: a HyperModel that
    chooses between pretrained weights needs an ``identity`` of its own (``SpaceOptions.create``).

    Args:
        model: A functional model, or a built sequential one.

    Returns:
        64 hexadecimal digits, the same in every process.

    Raises:
        NotImplementedError: If the model has a ``call`` of its own, or an operation cannot say
            what it is: it has no ``get_config``, or its class is defined inside a function, on
            whose variables it may depend.
    """
    if not is_transparent(model):
        raise NotImplementedError(f"{model.name} is neither functional nor sequential")
    network = _Network()
    inputs = [(network.add(["input", i, t.shape, t.dtype]), 0) for i, t in enumerate(model.inputs)]
    outputs = network.inline(model, inputs, [])
    edges = [(f"output {i}, {index}", vertex) for i, (vertex, index) in enumerate(outputs)]
    return network.digest(network.add(describe_compilation(model), edges))


class _Network(Graph):
    """The graph of a Keras model."""

    def __init__(self) -> None:
        super().__init__()
        self._variables: dict[int, int] = {}
        self._sums: dict[int, Counter[Source]] = {}

    def inline(self, model: keras.Model, inputs: list[Source], context: list) -> list[Source]:
        """Adds the calls inside a model, and inside models that are layers of it.

        Args:
            model: A functional or sequential model.
            inputs: Where its inputs come from.
            context: Arguments of the calls of the models that it is in.

        Returns:
            Where its outputs come from.
        """
        found = dict(zip(map(id, model.inputs), inputs, strict=True))
        for node in _calls(model):
            sources = [found[id(tensor)] for tensor in node.input_tensors]
            layer, (positional, named) = node.operation, describe_call(node)
            if is_transparent(layer) and len(sources) == len(layer.inputs):
                more = [positional[1:], named]  # such as training=False
                outputs = self.inline(layer, sources, [*context, more] if any(more) else context)
            else:
                vertex = self._call(layer, sources, [*context, positional, named])
                outputs = [(vertex, index) for index in range(len(node.outputs))]
            found.update(zip(map(id, node.outputs), outputs, strict=True))
        return [found[id(tensor)] for tensor in model.outputs]

    def _call(self, operation: Any, sources: list[Source], arguments: list) -> int:
        if type(operation) in COMMUTATIVE:
            return self._merge(operation, sources)
        edges = [(f"{i}, {index}", vertex) for i, (vertex, index) in enumerate(sources)]
        edges += self._weights(operation)
        return self.add([describe_operation(operation), arguments], edges)

    def _merge(self, layer: keras.layers.Layer, sources: list[Source]) -> int:
        """Adds a commutative merge; a sum takes over the terms of equally configured sums."""
        description = describe_operation(layer)
        terms: Counter[Source] = Counter()
        for source in sources:
            known, summed = self._sums.get(source[0], (None, Counter()))
            terms.update(summed if known == description else [source])
        edges = [(f"{count} times {index}", vertex) for (vertex, index), count in terms.items()]
        merged = self.add(description, edges)
        if type(layer) is keras.layers.Add:
            self._sums[merged] = (description, terms)
        return merged

    def _weights(self, operation: Any) -> Iterator[Edge]:
        for i, variable in enumerate(getattr(operation, "variables", ())):
            if id(variable) not in self._variables:
                label = ["variable", variable.shape, variable.dtype, variable.trainable]
                self._variables[id(variable)] = self.add(label)
            yield f"variable {i}", self._variables[id(variable)]


def _calls(model: keras.Model) -> Iterator[Any]:
    """Keras' nodes of the calls inside a model, each after those that it depends on."""
    by_depth = getattr(model, "_functional", model)._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from (node for node in by_depth[depth] if not node.is_input)
