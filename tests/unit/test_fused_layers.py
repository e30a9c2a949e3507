import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import left_to_all
from xnas_tf.keras_tools.fused_layers import fused_layers


def build(**options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    inner = keras.Sequential(
        [keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(**options)]
    )
    x = keras.layers.BatchNormalization(epsilon=1e-5, **options)(inner(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def traced(model, fuse, batch=5):
    @tf.function(input_signature=[tf.TensorSpec((batch, 6, 6, 2))])
    def step(images):
        from contextlib import nullcontext

        with fused_layers(model) if fuse else nullcontext(), tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True) ** 2)
        return loss, tape.gradient(loss, model.trainable_variables)

    return step


@pytest.mark.parametrize("batch", [None, *left_to_all(5)])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"scale": False}, {"axis": 1}])
def test_fused_is_the_same_function_with_the_same_gradients_and_statistics(options, batch):
    images = tf.constant(np.random.default_rng(2).normal(size=(5, 6, 6, 2)), tf.float32)
    plain, fused = build(**options), build(**options)
    (loss, gradients), (fused_loss, fused_gradients) = (
        traced(m, f, batch)(images) for m, f in ((plain, False), (fused, True))
    )
    np.testing.assert_allclose(loss, fused_loss, rtol=1e-4)
    # A bias before batch normalisation has no gradient but rounding, so that what counts is
    # the error as a share of the largest gradient.
    scale = max(np.abs(g).max() for g in gradients)
    for one, other in zip(gradients, fused_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * scale)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_it_really_is_one_operation_and_the_layers_stay_ordinary():
    model = build()
    graph = traced(model, True).get_concrete_function().graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 2
    assert "Size" not in kinds  # of known shapes
    assert {type(layer) for layer in model.layers if "batch" in layer.name} == {
        keras.layers.BatchNormalization
    }
