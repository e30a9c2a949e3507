"""Mixed precision and XLA: the same model, computed in another way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.datasets import make_dataset
from xnas_tf.attribution import attribution_method
from xnas_tf.attribution.activations import class_activations
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.keras_tools import mixed_precision
from xnas_tf.training.trainer import Trainer


def build():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    # BatchNorm cancels a bias before it: rounding alone would move one, by as much as it likes.
    convolution = keras.layers.Conv2D(4, 3, use_bias=False)
    inner = keras.Sequential([convolution, keras.layers.BatchNormalization()])
    x = keras.layers.Flatten()(keras.layers.ReLU()(inner(inputs)))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


class Head(keras.layers.Layer):
    """A layer of layers."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(3)

    def call(self, inputs):
        return self.inner(inputs)


def trainer(model, **changes):
    settings = {"batch_size": 20, "learning_rate": 0.05, "epochs": 3, **changes}
    config = load_config(overrides=[f"training.{k}={v}" for k, v in settings.items()])
    return Trainer(model, make_dataset(), config.training, SingleProcess(), seed=4)


def train(model, **changes):
    training = trainer(model, **changes)
    return [training.run_epoch()["loss"] for _ in range(3)]


@pytest.fixture(scope="module")
def ordinary():
    model = build()
    return model, train(model)


@pytest.fixture(scope="module")
def mixed():
    model = build()
    return model, train(model, mixed_precision=True)


def operations(training):
    data = tf.zeros((20, 8, 8, 1), tf.uint8), tf.zeros(20, tf.int32)
    step = tf.function(training.step._step, autograph=False)
    return step.get_concrete_function(*data).graph.get_operations()


def test_mixed_precision_computes_in_bfloat16_all_but_the_output():
    found = {}
    for operation in operations(trainer(build(), mixed_precision=True)):
        if operation.type in ("Conv2D", "FusedBatchNormV3", "MatMul", "Softmax"):
            found.setdefault(operation.type, operation.outputs[0].dtype)
    expected = {"Conv2D": tf.bfloat16, "FusedBatchNormV3": tf.bfloat16}
    assert found == {**expected, "MatMul": tf.float32, "Softmax": tf.float32}


def test_mixed_precision_learns_about_the_same(ordinary, mixed):
    assert mixed[1] != ordinary[1]
    assert mixed[1] == pytest.approx(ordinary[1], rel=0.05)
    assert mixed[1][-1] < 0.6 * mixed[1][0]
    for one, other in zip(ordinary[0].get_weights(), mixed[0].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.1, atol=0.03)


def test_a_model_trained_in_mixed_precision_is_an_ordinary_one(mixed, tmp_path):
    model = mixed[0]
    layers = model._flatten_layers()
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    images = make_dataset().validation.images / np.float32(255)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(images), model(images))
    integrated = attribution_method("integrated_gradients")(steps=256)
    maps = integrated(model, images, 1)
    assert np.isfinite(maps).all() and maps.any()
    assert attribution_method("grad_cam")()(model, images, 1).any()
    groups = np.zeros(len(images), np.int32)
    sums = class_activations(model, make_dataset().validation.images, 3, groups)
    assert all(each.sums.dtype == np.float32 for each in sums)


def test_an_output_made_by_a_layer_of_layers_is_exact_too():
    base = build()
    model = keras.Model(base.inputs, Head()(base.outputs[0]))
    kinds = operations(trainer(model, mixed_precision=True))
    products = [each.outputs[0].dtype for each in kinds if each.type == "MatMul"]
    assert products[:2] == [tf.bfloat16, tf.float32]


@pytest.mark.parametrize("found, fits", [((7, 5), False), ((8, 0), True), (None, True)])
def test_mixed_precision_needs_gpus_that_can(monkeypatch, found, fits):
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    details = {} if found is None else {"compute_capability": found}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [gpu])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
    if fits:
        mixed_precision.check_devices()
    else:
        with pytest.raises(InputError, match="7.5"):
            mixed_precision.check_devices()


def test_xla_gives_the_same_losses(ordinary):
    model = build()
    assert train(model, jit_compile=True) == pytest.approx(ordinary[1], abs=1e-4)
    for one, other in zip(ordinary[0].get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_both_go_together(mixed):
    losses = train(build(), jit_compile=True, mixed_precision=True)
    assert losses == pytest.approx(mixed[1], rel=0.05)
