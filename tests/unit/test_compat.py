"""The names of Keras and TensorFlow that are not public are where compat.py expects them."""

from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from xnas_tf.keras_tools import compat


@contextmanager
def uses(name):
    """Fail with the name that has moved."""
    try:
        yield
    except Exception as error:
        pytest.fail(
            f"Keras {keras.__version__} or TensorFlow {tf.__version__} has changed {name}, "
            f"which xnas_tf/keras_tools/compat.py uses: {type(error).__name__}: {error}",
            pytrace=False,
        )


class Block(layers.Layer):
    """A layer of layers."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class OwnStep(keras.Model):
    """A functional model of a class of its own."""

    def train_step(self, data):
        return {}


def functional(kind=keras.Model):
    inputs = keras.Input((3,), name="inputs")
    first = layers.Dense(2, name="first")
    return kind(inputs, layers.Add(name="sum")([first(inputs), first(inputs)]))


def sequential():
    return keras.Sequential([keras.Input((3,)), layers.Dense(2, name="first"), layers.ReLU()])


def test_sublayers():
    block = Block()
    model = keras.Sequential([keras.Sequential([block])])
    with uses("Layer._flatten_layers"):
        found = compat.sublayers(model)
        assert found == [model.layers[0], block, block.dense]
        assert not compat.sublayers(block.dense)


@pytest.mark.parametrize("kind", [keras.Model, OwnStep])
def test_functional_models_have_a_graph(kind):
    with uses("Functional._nodes_by_depth"):
        assert compat.has_graph(functional(kind))
        assert not compat.has_graph(Subclassed()) and not compat.has_graph(layers.Dense(2))


@pytest.mark.parametrize(
    ("model", "expected"),
    [(functional, ["first", "first", "sum"]), (sequential, ["first", "re_lu"])],
)
def test_graph_nodes(model, expected):
    keras.backend.clear_session()  # names of layers are numbered
    model = model()
    with uses("Functional._nodes_by_depth, Sequential._functional or Node"):
        nodes = list(compat.graph_nodes(model))
        assert [node.operation.name for node in nodes] == expected
        first, last = nodes[0], nodes[-1]
        assert first.input_tensors[0] is model.inputs[0]
        assert last.outputs[0] is model.outputs[0]
        flat = [keras.tree.flatten([node.arguments.args, node.arguments.kwargs]) for node in nodes]
        assert all(
            any(value is node.input_tensors[0] for value in values)
            for node, values in zip(nodes, flat, strict=True)
        )


def test_producer():
    model = functional()
    with uses("KerasTensor._keras_history"):
        assert compat.producer(model.outputs[0]) is model.get_layer("sum")


def test_untraced():
    def double(x):
        return 2 * x

    with uses("python_function of a tf.function"):
        assert isinstance(tf.function(double), tf.types.experimental.PolymorphicFunction)
        assert compat.untraced(tf.function(double)) is double


def test_rename_variable():
    model = functional()
    with uses("keras.Variable._path"):
        compat.rename_variable(model.variables[0], "other/kernel")
        assert model.variables[0].path == "other/kernel"


def test_metrics_in_compile():
    with uses("Trainer._compile_metrics"):
        plain, measured = functional(), functional()
        assert compat.metrics_in_compile(plain) is None
        plain.compile(loss="mse")
        assert compat.metrics_in_compile(plain) is None
        measured.compile(loss="mse", metrics=["mae"])
        metric = compat.metrics_in_compile(measured)
        metric.update_state(np.zeros((4, 2)), np.full((4, 2), 0.5))
        assert {k: float(v) for k, v in metric.result().items()} == {"mae": 0.5}
        metric.reset_state()
        assert float(metric.result()["mae"]) == 0


def test_custom_gradients_can_be_removed():
    @tf.custom_gradient
    def identity(x):
        return tf.identity(x), lambda gradient: gradient

    with uses("tensorflow.python.framework.ops.gradient_registry"):
        before = compat.custom_gradients()
        tf.function(identity).get_concrete_function(tf.TensorSpec((), tf.float32))
        added = compat.custom_gradients() - before
        assert added
        compat.remove_custom_gradients(added)
        assert compat.custom_gradients() == before


def test_layers_are_named_as_the_first_again():
    for _ in range(2):
        with uses("reset_uids"):
            compat.reset_layer_names()
        assert layers.Dense(1).name == "dense"


def test_variables_that_are_excluded_from_weight_decay():
    optimizer = keras.optimizers.AdamW()
    assert not compat.excludes_by_name(optimizer)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with uses("exclude_from_weight_decay"):
        assert compat.excludes_by_name(optimizer)
        assert compat.excludes_by_name(keras.optimizers.LossScaleOptimizer(optimizer))
