"""Analytic oracles: models on which the right attribution is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import left_to_all
from xnas_tf.attribution import activations
from xnas_tf.attribution.activations import class_activations
from xnas_tf.attribution.baselines import baseline_of, blurred
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.grad_cam import GradCAM, GradCAMPlusPlus
from xnas_tf.attribution.gradient_input import GradientInput
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.occlusion import Occlusion
from xnas_tf.attribution.outputs import Outputs, probabilities_of
from xnas_tf.attribution.smooth_grad import SmoothGrad
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import ending_of, has_feature_map, linear_output

SHAPE = (5, 4, 2)


def linear_model(seed=0, softmax=True, outputs=3, activation="softmax"):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Flatten()(inputs)
    ending = keras.layers.Dense(outputs, activation=activation if softmax else None)
    model = keras.Model(inputs, ending(x))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def images_of(seed=1, count=16):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def weight_times(model, change, targets):
    """The right map for a linear model: weight times what changes, summed over channels."""
    kernel, _ = model.get_weights()
    right = change.reshape(len(change), -1) * kernel[:, targets].T
    return right.reshape(change.shape).sum(axis=-1)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize(
    "method",
    [
        IntegratedGradients(steps=9, batch=5),
        GradientInput(),
        Occlusion(patch=1, stride=1, batch=7),
        *left_to_all(IntegratedGradients(steps=1), Occlusion(patch=1, stride=1)),
    ],
    ids=str,
)
def test_on_a_linear_model_it_is_weight_times_input(method, softmax):
    model, images = linear_model(softmax=softmax), images_of()
    predicted = model(images).numpy().argmax(axis=1)
    assert len(set(predicted)) > 1
    right = weight_times(model, images, predicted)
    np.testing.assert_allclose(method(model, images), right, atol=1e-5)


@settings(deadline=None, max_examples=8)
@given(st.sampled_from(["zero", "mean", "blurred", "noise"]), st.integers(0, 9))
def test_integrated_gradients_of_a_linear_model_count_from_the_baseline(baseline, seed):
    model, images = linear_model(), images_of(seed)
    change = images - baseline_of(baseline, tf.constant(images), seed).numpy()
    maps = IntegratedGradients(steps=3, baseline=baseline, seed=seed)(model, images, 2)
    targets = np.full(16, 2)
    np.testing.assert_allclose(maps, weight_times(model, change, targets), atol=1e-5)
    kernel, _ = model.get_weights()
    fall = change.reshape(16, -1) @ kernel[:, 2]
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), fall, atol=1e-4)


@pytest.mark.parametrize("patch", [1, 2, 3, 7])
def test_occlusion_of_a_linear_model_sums_to_the_change(patch):
    model, images = linear_model(), images_of()
    kernel, _ = model.get_weights()
    sums = Occlusion(patch=patch, stride=patch)(model, images, 1).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, images.reshape(16, -1) @ kernel[:, 1], atol=1e-4)


def test_smooth_grad_of_a_linear_model_is_its_weights():
    model, images = linear_model(), images_of()
    right = np.abs(model.get_weights()[0][:, 1]).reshape(SHAPE).sum(axis=-1)
    maps = SmoothGrad(samples=6)(model, images, 1)
    np.testing.assert_allclose(maps, np.broadcast_to(right, maps.shape), atol=1e-4)
    assert not np.allclose(*(SmoothGrad(seed=s)(_curved(), images) for s in (0, 1)), rtol=1e-3)


def _curved():
    inputs = keras.Input(SHAPE)
    keras.utils.set_random_seed(3)
    x = keras.layers.Conv2D(4, 3, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def test_integrated_gradients_are_complete_where_the_model_is_smooth():
    model, images = _curved(), images_of()
    logits, black = model(images).numpy(), model(np.zeros_like(images)).numpy()
    change = (logits - black)[np.arange(16), logits.argmax(axis=1)]
    errors = [
        np.abs(IntegratedGradients(steps=n)(model, images).sum(axis=(1, 2)) - change).max()
        for n in (4, 64)
    ]
    assert errors[1] < 1e-3 and errors[1] < errors[0] / 10


def test_a_sigmoid_is_two_classes():
    model, images = linear_model(outputs=1, activation="sigmoid"), images_of()
    right = weight_times(model, images, np.zeros(16, int))
    np.testing.assert_allclose(GradientInput()(model, images, 1), right, atol=1e-5)
    np.testing.assert_allclose(GradientInput()(model, images, 0), -right, atol=1e-5)
    predicted = model(images).numpy()[:, 0] > 0.5
    both = GradientInput()(model, images, "all")
    maps = GradientInput()(model, images)
    np.testing.assert_allclose(maps, both[np.arange(16), predicted.astype(int)], atol=1e-6)


def patch_model():
    """Says class 1 where the brightness of some 3x3 patch exceeds a threshold."""
    inputs = keras.Input((12, 12, 1))
    x = keras.layers.Conv2D(1, 3, padding="same", activation="relu", name="patch")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model.set_weights(
        [np.ones((3, 3, 1, 1)), np.array([-4.0]), np.array([[-50.0, 50.0]]), np.array([0.1, 0.0])]
    )
    return model


@pytest.mark.parametrize(
    "method", [GradCAM(), GradCAM(layer="patch"), GradCAM(layer=0), GradCAMPlusPlus()], ids=str
)
def test_grad_cam_puts_its_maximum_on_the_decisive_patch(method):
    images = np.zeros((4, 12, 12, 1), np.float32)
    corners = [(0, 0), (2, 7), (8, 3), (9, 9)]
    for image, (row, column) in zip(images, corners, strict=True):
        image[row : row + 3, column : column + 3] = 1
    maps = method(patch_model(), images)
    for map_, (row, column) in zip(maps, corners, strict=True):
        assert np.unravel_index(map_.argmax(), map_.shape) == (row + 1, column + 1)
        assert map_.min() >= 0


def test_grad_cam_applies_the_relu_and_mixes_classes():
    """An empty image is class 0, against which the patch speaks: nothing positive is left."""
    images = np.zeros((2, 12, 12, 1), np.float32)
    images[1, 4:7, 4:7] = 1
    images[0, 0, 0] = 1  # below the threshold
    maps = GradCAM()(patch_model(), images)
    assert maps[0].max() == 0 and maps[1].max() > 0


def two_maps(seed=0):
    inputs = keras.Input((8, 8, 2))
    keras.utils.set_random_seed(seed)
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="fine")(inputs)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="coarse")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_grad_cam_is_the_papers_formula():
    model, images = two_maps(), np.random.default_rng(0).random((6, 8, 8, 2), np.float32)
    features = keras.Model(model.inputs, model.get_layer("coarse").output)(images).numpy()
    kernel, _ = model.layers[-1].get_weights()
    weights = kernel[:, 2] / 16  # of the mean over 4x4 pixels, the gradient is the kernel / 16
    small = np.maximum((features * weights).sum(axis=-1), 0)
    right = tf.image.resize(small[..., None], (8, 8))[..., 0]
    np.testing.assert_allclose(GradCAM()(model, images, 2), right, atol=1e-6)
    np.testing.assert_allclose(GradCAM(layer=-1)(model, images, 2), right, atol=1e-6)


def test_several_layers_are_scaled_and_averaged():
    model, images = two_maps(), np.random.default_rng(0).random((6, 8, 8, 2), np.float32)
    names = ("fine", "coarse")
    alone = [GradCAM(layer=name)(model, images, 0) for name in names]
    assert not np.allclose(*alone)
    transaction = GradCAM(layer=names)(model, images, 0)
    assert 0 < transaction.max() <= 1 + 1e-6
    tops = [each.max(axis=(1, 2), keepdims=True) for each in alone]
    # scaled before it is resized, so only nearly what scaling the resized maps gives
    scaled = [np.divide(m, t, where=t > 0, out=m * 0) for m, t in zip(alone, tops, strict=True)]
    np.testing.assert_allclose(transaction, np.mean(scaled, axis=0), atol=0.05)


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (GradCAM(layer="corse"), "did you mean 'coarse'"),
        (GradCAM(layer=9), "'9'"),
        (IntegratedGradients(input="left"), "input 'left'"),
    ],
    ids=str,
)
def test_a_layer_or_input_that_is_not_there_is_a_clear_error(method, problem):
    with pytest.raises(InputError, match=problem):
        method(two_maps(), np.zeros((1, 8, 8, 2), np.float32))


def test_what_no_method_can_explain_is_a_clear_error():
    images = images_of()
    with pytest.raises(InputError, match="Grad-CAM needs a layer"):
        GradCAM()(linear_model(), images)
    with pytest.raises(InputError, match="stride is 4; allowed: at most the patch's side, 2"):
        Occlusion(patch=2, stride=4)(linear_model(), images)
    with pytest.raises(InputError, match=r"shape \(16, 5, 4\); the model expects"):
        GradientInput()(linear_model(), images[..., 0])
    first = keras.Sequential([keras.Input((2, 8, 8)), keras.layers.Flatten("channels_first")])
    with pytest.raises(InputError, match="channels first"):
        GradientInput()(first, np.zeros((3, 2, 8, 8), np.float32))
    with pytest.raises(InputError, match="need images"):
        GradientInput()(linear_model(), np.zeros((3, 4), np.float32))
    GradientInput()(linear_model(), images, [0] * 16)  # lists serve too
    for targets in (3, -1, "predictd", np.zeros(4, int), 0.5):
        with pytest.raises(InputError, match="target"):
            GradientInput()(linear_model(), images, targets)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Flatten()(keras.ops.round(inputs) // 1)
    disconnected = keras.Model(inputs, 3 * keras.ops.one_hot(keras.ops.argmax(x, axis=-1), 40))
    with pytest.raises(InputError, match="no gradient"):
        GradientInput()(disconnected, images)
    two = keras.Model(inputs, [keras.layers.Flatten()(inputs)] * 2)
    with pytest.raises(InputError, match="one output"):
        GradientInput()(two, images)


def test_no_images_give_no_maps():
    assert GradientInput()(linear_model(), images_of()[:0]).shape == (0, 5, 4)


@pytest.mark.parametrize("kind", ["layer", "activation", "dense", "operation", "nested", "none"])
def test_logits_are_what_comes_before_the_softmax(kind):
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(3, activation="softmax" if kind in ("dense", "nested") else None)
    outputs = dense(inputs)
    if kind == "layer":
        outputs = keras.layers.Softmax()(outputs)
    if kind == "activation":
        outputs = keras.layers.Activation("softmax")(outputs)
    if kind == "operation":
        outputs = keras.ops.softmax(outputs)
    model = keras.Model(inputs, outputs)
    if kind == "nested":
        model = keras.Sequential([keras.Input((4,)), model])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    kernel, bias = model.get_weights()
    before = model(x)
    with linear_output(ending_of(model)):
        np.testing.assert_allclose(model(x), x @ kernel + bias, atol=1e-5)
    np.testing.assert_array_equal(model(x), before)
    assert (ending_of(model).activation == "softmax") == (kind != "none")


@pytest.mark.parametrize(
    ("outputs", "activation"),
    [(1, tf.nn.sigmoid), (1, keras.ops.sigmoid), (3, tf.nn.softmax), (3, keras.ops.softmax)],
)
def test_functions_of_tensorflow_are_recognised(outputs, activation):
    model = linear_model(outputs=outputs, activation=activation)
    model.layers[-1].bias.assign(np.full(outputs, -3.0))
    images = images_of() / 9
    found, expected = probabilities_of(model, images), np.asarray(model(images))
    np.testing.assert_allclose(found[:, -outputs:], expected, rtol=1e-5)
    kernel, bias = model.get_weights()
    logits = images.reshape(len(images), -1) @ kernel + bias
    scores = explainer_of(model, Outputs())(images)
    np.testing.assert_allclose(scores[:, -outputs:], logits, atol=1e-5)


class Hidden(keras.Model):
    """Its softmax is not a layer."""

    def __init__(self):
        super().__init__()
        self.flat = keras.layers.Flatten()
        self.dense = keras.layers.Dense(3)

    def call(self, images):
        return keras.ops.softmax(self.dense(self.flat(images)))


def twice():
    """Its final softmax layer is used before, too."""
    inputs = keras.Input(SHAPE)
    softmax = keras.layers.Softmax()
    x = softmax(keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    return keras.Model(inputs, softmax(keras.layers.Dense(3)(x)))


@pytest.mark.parametrize("make", [Hidden, twice])
def test_logits_that_cannot_be_told_are_refused(make):
    keras.utils.set_random_seed(0)
    model, images = make(), images_of()
    with pytest.raises(InputError, match="cannot be determined from its layers"):
        GradientInput()(model, images)
    assert GradientInput(output="probabilities")(model, images).shape == (16, 5, 4)
    np.testing.assert_allclose(probabilities_of(model, images), model(images), atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_probabilities_of_a_model_that_returns_logits_are_explained(outputs):
    """Not its logits, of which 0.3 of a single output is already the second class."""
    activation = "sigmoid" if outputs == 1 else "softmax"
    ending, method = {"outputs": outputs, "activation": activation}, GradientInput
    wanted, found = (
        method(output="probabilities")(linear_model(softmax=softmax, **ending), images_of() / 9)
        for softmax in (True, False)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_tensors_inside_attention_are_not_feature_maps():
    """They have four axes, too: tokens, heads and channels."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 2))
    x = layers.Reshape((16, 6))(layers.Conv2D(6, 2, 2, name="patches")(inputs))
    x = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 3)(x, x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    images = np.random.default_rng(0).random((2, 8, 8, 2), np.float32)
    maps = GradCAM()(model, images, 0)
    assert maps.any()
    np.testing.assert_array_equal(maps, GradCAM(layer="patches")(model, images, 0))
    tokens = keras.Input((16, 6))
    assert not has_feature_map(keras.Model(tokens, layers.MultiHeadAttention(2, 3)(tokens, tokens)))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3))
def test_a_blur_keeps_what_is_even_and_the_range(height, width, channels):
    even = np.full((1, height, width, channels), 0.3, np.float32)
    np.testing.assert_allclose(blurred(tf.constant(even)), even, atol=1e-5)
    rough = np.random.default_rng(0).random((2, height, width, channels)).astype(np.float32)
    smooth = blurred(tf.constant(rough)).numpy()
    assert smooth.min() >= rough.min() - 1e-5 and smooth.max() <= rough.max() + 1e-5
    assert smooth.std() <= rough.std() + 1e-5


def small_network():
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu", name="relu")(x)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Activation("softmax")(x))


def test_activations_are_the_outputs_of_convolutions_and_activations():
    model = small_network()
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 6, 1), dtype=np.uint8)
    groups = np.arange(70) % 3
    found = class_activations(model, images, 3, groups)
    assert [each.name for each in found] == ["conv", "relu"]
    for each in found:
        view = keras.Model(model.input, model.get_layer(each.name).output)
        stored = view(images / np.float32(255)).numpy().reshape(70, -1)
        right = np.stack([stored[groups == c].sum(axis=0) for c in range(3)])
        np.testing.assert_allclose(each.sums, right, atol=1e-4)
        squares = [np.square(stored[groups == c]).sum() for c in range(3)]
        np.testing.assert_allclose(each.squares, squares, rtol=1e-5)
        np.testing.assert_allclose(each.samples, stored, atol=1e-5)  # few enough to be whole
    for each in class_activations(model, images[:0], 3, groups[:0]):
        assert not each.sums.any() and not each.squares.any() and each.samples.shape[0] == 0
    some = class_activations(model, images, 3, groups, layers=["re*"])
    assert [each.name for each in some] == ["relu"]
    with pytest.raises(InputError, match="allowed: conv, relu"):
        class_activations(model, images, 3, groups, layers=["dense*"])
    with pytest.raises(InputError, match="no convolution or activation layers"):
        class_activations(linear_model(), np.zeros((2, *SHAPE), np.uint8), 3, np.zeros(2))


def two_layers_twice():
    inputs = keras.Input((6, 6, 1))
    conv, leaky = keras.layers.Conv2D(1, 1, name="conv"), keras.layers.LeakyReLU(name="leaky")
    x = leaky(conv(leaky(conv(inputs))))
    return keras.Model(inputs, keras.layers.Flatten()(x))


def test_layers_that_are_used_twice_count_twice():
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1), dtype=np.uint8)
    found = class_activations(two_layers_twice(), images, 1, np.zeros(4, int))
    assert [each.name for each in found] == ["conv", "leaky", "conv_2", "leaky_2"]
    assert not np.allclose(found[0].sums, found[2].sums)


def test_the_name_of_a_second_call_is_not_that_of_another_layer():
    """As when Keras numbers layers itself: conv2d, conv2d_1, conv2d_2."""
    inputs = keras.Input((6, 6, 1))
    conv, other = (keras.layers.Conv2D(1, 1, name=name) for name in ("conv", "conv_2"))
    model = keras.Model(inputs, keras.layers.Flatten()(conv(other(conv(inputs)))))
    found = class_activations(model, np.zeros((4, 6, 6, 1), np.uint8), 1, np.zeros(4, int))
    assert [each.name for each in found] == ["conv", "conv_2", "conv_3"]


def test_many_images_have_the_sums_of_few(monkeypatch):
    """They are summed by a traced function, which must return the layers in their order."""
    model = two_layers_twice()
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 6, 1), dtype=np.uint8)
    few = class_activations(model, images, 3, np.arange(70) % 3)
    monkeypatch.setattr(activations, "FEW_RUNS", 0)
    monkeypatch.setattr(activations, "BATCH", 32)
    many = class_activations(model, images, 3, np.arange(70) % 3)
    for one, other in zip(few, many, strict=True):
        assert one.name == other.name
        for name in ("sums", "squares", "samples"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-4)


def test_samples_keep_inner_products():
    """On average, over layers of twelve sizes with samples of their own."""
    inputs = keras.Input((12, 12, 1))
    keras.utils.set_random_seed(0)
    maps = [keras.layers.Conv2D(n, 3, activation="softplus")(inputs) for n in range(2, 14)]
    model = keras.Model(inputs, keras.layers.Concatenate()(maps))
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 1), dtype=np.uint8)
    layers = class_activations(model, images, 1, np.zeros(40, int))
    outputs = model(images / np.float32(255)).numpy()
    parts = np.split(outputs, np.cumsum(np.arange(2, 13)), axis=-1)
    ratios = []
    for layer, part in zip(layers, parts, strict=True):
        stored = part.reshape(40, -1)
        assert layer.samples.shape == (40, 64)
        ratios.append((layer.samples @ layer.samples.T) / (stored @ stored.T))
    assert abs(np.mean(ratios) - 1) < 0.08
