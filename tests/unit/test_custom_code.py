"""Candidates with code of a user's own are never called the same for different hyperparameters."""

import functools
import gc
import importlib
import math
import sys
import weakref

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tests.conftest import left_to_all
from xnas_tf.evaluation import evaluation_hash
from xnas_tf.evaluation.evaluation_hash import evaluation_digest
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.model_hash import network_digest
from xnas_tf.spaces.building import build_model
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.spaces.search_space import SearchSpace

SHAPE = (2, 2, 1)
OPTIONS = HyperModelOptions(hypermodel="a:B")
GLOBAL = {"power": 1.0}


def compiled(*made, loss="mse", optimizer=None, kind=keras.Model, **options):
    x = inputs = keras.Input(SHAPE)
    for layer in (*made, layers.Flatten(), layers.Dense(3, **options)):
        x = layer(x)
    model = kind(inputs, layers.Softmax()(x))
    model.compile(optimizer or keras.optimizers.SGD(0.5), loss, run_eagerly=True)
    return model


class Loss(keras.losses.Loss):
    """Without ``get_config``; the base class has one, which leaves the power out."""

    def __init__(self, power):
        super().__init__(name="power")
        self.power = power

    def call(self, labels, outputs):
        return ops.mean(ops.abs(labels - outputs) ** self.power, axis=-1)


class Initializer(keras.initializers.Initializer):
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, shape, dtype=None):
        return self.scale * keras.random.normal(shape, seed=0, dtype=dtype)


class Regularizer(keras.regularizers.Regularizer):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, weights):
        return self.rate * ops.sum(weights**2)

    def get_config(self):
        return {}


class Constraint(keras.constraints.Constraint):
    def __init__(self, most):
        self.most = most

    def __call__(self, weights):
        return ops.clip(weights, -self.most / 100, self.most / 100)


class Gain(layers.Layer):
    def __init__(self, gain, **options):
        super().__init__(**options)
        self.gain = gain

    def call(self, inputs):
        return inputs * self.gain

    def compute_output_shape(self, shape):
        return shape


class Forgetful(Gain):
    def get_config(self):
        return {**super().get_config(), "gain": 1.0}


class Optimizer(keras.optimizers.SGD):
    def __init__(self, factor):
        super().__init__(0.1)
        self.factor = factor

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient * self.factor, variable, learning_rate)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate

    def get_config(self):
        return {}


class Model(keras.Model):
    factor = 1.0

    def compute_loss(self, *args, **kwargs):
        return self.factor * super().compute_loss(*args, **kwargs)


def closure(power):
    def loss(labels, outputs):
        return ops.mean(ops.abs(labels - outputs) ** power)

    return loss


def by_power(labels, outputs, power):
    return ops.mean(ops.abs(labels - outputs) ** power)


def by_global(labels, outputs):
    return by_power(labels, outputs, GLOBAL["power"])


def with_global(power):
    GLOBAL["power"] = power
    return compiled(loss=by_global)


def with_factor(factor):
    model = compiled(kind=Model)
    model.factor = factor
    return model


def with_patched_layer(factor):
    layer = layers.Activation("linear")
    layer.call = lambda inputs: inputs * factor
    return compiled(layer)


def with_weights(value):
    model = compiled()
    values = [np.linspace(0, value, math.prod(w.shape)).reshape(w.shape) for w in model.weights]
    model.set_weights(values)
    return model


KINDS = {
    "loss": lambda v: compiled(loss=Loss(v)),
    "list of losses": lambda v: compiled(loss=[Loss(v)]),
    "closure": lambda v: compiled(loss=closure(v)),
    "lambda": lambda v: compiled(loss=lambda a, b, v=v: by_power(a, b, v)),
    "partial": lambda v: compiled(loss=functools.partial(by_power, power=v)),
    "tf.function": lambda v: compiled(loss=tf.function(closure(v))),
    "global variable": with_global,
    "initializer": lambda v: compiled(kernel_initializer=Initializer(v)),
    "regularizer": lambda v: compiled(kernel_regularizer=Regularizer(v)),
    "constraint": lambda v: compiled(kernel_constraint=Constraint(v)),
    "activation": lambda v: compiled(activation=lambda x: x * v),
    "layer": lambda v: compiled(Gain(v)),
    "layer whose configuration is wrong": lambda v: compiled(Forgetful(v)),
    "layer inside a layer": lambda v: compiled(layers.TimeDistributed(Gain(v))),
    "layer that was changed": with_patched_layer,
    "Lambda": lambda v: compiled(layers.Lambda(lambda x: x * v)),
    "optimizer": lambda v: compiled(optimizer=Optimizer(v)),
    "schedule": lambda v: compiled(optimizer=keras.optimizers.SGD(Schedule(v))),
    "attribute of the model": with_factor,
    "weights": with_weights,
}


class Valued(keras_tuner.HyperModel):
    shows_all = True

    def __init__(self, make):
        super().__init__()
        self.make = make

    def build(self, hp):
        return self.make(hp.Choice("value", [1.0, 2.0]))


LAYER = """
import keras
from helper_of_mine import FACTOR

class Scale(keras.layers.Layer):
    def call(self, x):
        return x * FACTOR
"""


def loss_after_a_step(model):
    images = np.random.default_rng(0).random((6, *SHAPE), np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 0, 0, 0, 1, 2]]
    model.train_on_batch(images, labels)
    return float(model.test_on_batch(images, labels))


QUICK = (
    *("loss", "closure", "global variable", "initializer"),
    *("layer that was changed", "optimizer", "weights"),
)


@pytest.mark.parametrize("kind", [*QUICK, *left_to_all(*(k for k in KINDS if k not in QUICK))])
def test_what_trains_differently_is_never_the_same(kind):
    space = SearchSpace(Valued(KINDS[kind]), SHAPE, 3)
    digests, losses = [], []
    for value in (1.0, 2.0, 1.0):
        keras.utils.set_random_seed(0)
        model = space.build({"value": value})
        digests.append(evaluation_digest(model, OPTIONS, space, {"value": value}))
        losses.append(loss_after_a_step(model))
    assert losses[0] == losses[2] != losses[1]
    assert digests[0] == digests[2] != digests[1]


def test_code_that_has_changed_since_is_another_network(tmp_path, monkeypatch):
    """As in a later run that uses the results of earlier ones; also code that a layer imports."""
    monkeypatch.syspath_prepend(tmp_path)
    mine, helper = tmp_path / "layers_of_mine.py", tmp_path / "helper_of_mine.py"
    mine.write_text(LAYER)
    helper.write_text("FACTOR = 2.0")
    module = importlib.import_module(mine.stem)
    kind, space = module.Scale, SearchSpace(Valued(lambda _: compiled(module.Scale())), SHAPE, 3)

    def digest():
        model = space.build({"value": 1.0})
        return evaluation_digest(model, OPTIONS, space, {"value": 1.0})

    first = digest()
    helper.write_text("FACTOR = 3.0")
    assert digest() == first  # the loaded code is still the old one
    importlib.reload(sys.modules[helper.stem])
    importlib.reload(module)
    assert module.Scale is not kind and digest() != first
    monkeypatch.delattr(module, "__file__")
    module.Scale = type("Scale", (module.Scale,), {"__module__": module.__name__})
    unknown = digest()
    evaluation_hash._loaded.clear()  # as in another process
    assert digest() != unknown


def test_code_that_was_compared_does_not_keep_the_model_alive():
    value = 2.0
    space = SearchSpace(Valued(lambda _: compiled(activation=lambda x: value * x)), SHAPE, 3)
    model = space.build({"value": 1.0})
    functions = [weakref.ref(each) for each in custom_code(model)]
    evaluation_digest(model, OPTIONS, space, {"value": 1.0})
    assert functions
    del model
    keras.utils.clear_session()
    gc.collect()
    assert not any(function() for function in functions)


class Metric(keras.metrics.Mean):
    pass


def excluded():
    optimizer = keras.optimizers.AdamW(0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize(
    "make",
    [
        lambda: compiled(activation=tf.nn.gelu),  # in configurations as keras.activations.gelu
        lambda: compiled(activation=functools.partial(keras.ops.gelu, approximate=False)),
        lambda: compiled(optimizer=keras.optimizers.LossScaleOptimizer(Optimizer(1.0))),
        lambda: compiled(optimizer=excluded()),
        lambda: compiled(kind=type("Mine", (keras.Model,), {})),
    ],
)
def test_what_is_not_of_keras_has_no_digest(make):
    with pytest.raises(NotImplementedError):
        network_digest(make())


def test_a_metric_of_ones_own_has_no_digest():
    model = compiled()
    model.compile("sgd", "mse", metrics=[Metric()])
    with pytest.raises(NotImplementedError):
        network_digest(model)


def test_code_of_another_model_that_shares_a_layer_does_not_count():
    shared = layers.Dense(3)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(inputs))
    before = network_digest(model)
    Gain(2.0)(shared(keras.Input((4,))))
    assert network_digest(model) == before


def test_a_model_of_keras_has_a_digest_whatever_it_is_made_of():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    dense = layers.SpectralNormalization(layers.Dense(3, activation=layers.LeakyReLU()))
    made = layers.RandomFlip(), layers.TimeDistributed(dense)
    options = {"kernel_regularizer": "l2", "kernel_constraint": "max_norm"}
    models = [
        compiled(*made, loss=loss, optimizer=keras.optimizers.AdamW(schedule), **options)
        for made in 2 * [made]
    ]
    assert len(set(map(network_digest, models))) == 1


def test_a_build_leaves_the_class_of_variables_as_it_was():
    before = keras.Variable.__init__, keras.Variable.assign, set(vars(keras.Variable))
    hypermodel = keras_tuner.HyperModel()
    hypermodel.build = lambda _: keras.Variable(0.0).assign(1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_model(hypermodel, keras_tuner.HyperParameters(), (None, *SHAPE))
    assert before == (keras.Variable.__init__, keras.Variable.assign, set(vars(keras.Variable)))
