"""Our attributions against independent implementations: Xplique's and tf-keras-vis'.

docs/benchmarks/crosschecks.md has the correlations found, and what no setting can bring into
agreement.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import left_to_all
from xnas_tf.attribution.grad_cam import GradCAM, GradCAMPlusPlus
from xnas_tf.attribution.gradient_input import GradientInput
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.occlusion import Occlusion
from xnas_tf.attribution.smooth_grad import SmoothGrad
from xnas_tf.data import load_dataset
from xnas_tf.spaces.cells import parse_genotype
from xnas_tf.spaces.nas_bench_201 import NASBench201

MODULES = {
    "xplique": "xplique.attributions",
    "explainers": "xplique.attributions.base",
    "gradcam": "tf_keras_vis.gradcam",
    "saliency": "tf_keras_vis.saliency",
    "scores": "tf_keras_vis.utils.scores",
}
other = SimpleNamespace()
"""The other libraries' modules, once ``libraries`` has imported them."""


@pytest.fixture(scope="module", autouse=True)
def libraries(tmp_path_factory):
    """Imported here, as they take seconds, and only one of several workers runs these tests."""
    # Hypothesis looks for constants in all modules that are not in a folder of this name.
    folder = tmp_path_factory.mktemp("crosscheck") / "site-packages"
    folder.symlink_to(Path(sys.prefix) / "crosscheck")  # see bin/setup
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        for name, module in MODULES.items():
            setattr(other, name, pytest.importorskip(module))
        yield


# tf-keras-vis gives a model with one input a list
pytestmark = pytest.mark.filterwarnings("ignore:The structure of `inputs`")

quick = pytest.mark.parametrize("case", ["convolutions"], indirect=True, scope="module")
"""Marks a check for which one network, the one that is traced quickly, says enough;
integrated gradients and Grad-CAM are checked on both."""
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


@dataclass(frozen=True)
class Case:
    """A briefly trained network and one image of each class.

    Attributes:
        model: The network, which ends in a softmax layer.
        logits: The same without it: neither library leaves out such a layer by itself.
        images: (10, 28, 28, C), float32.
        classes: The images' classes, the targets explained.
        large: A layer with maps as large as the image.
        small: The last feature map, smaller.
    """

    model: keras.Model
    logits: keras.Model
    images: np.ndarray
    classes: np.ndarray
    large: str
    small: str

    @property
    def one_hot(self) -> np.ndarray:
        """The targets as Xplique takes them."""
        return np.eye(10, dtype=np.float32)[self.classes]

    @property
    def score(self):
        """The targets as tf-keras-vis takes them."""
        return other.scores.CategoricalScore(self.classes.tolist())


def convolutions() -> keras.Model:
    """A small network of colour images."""
    inputs = keras.Input((28, 28, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="large")(inputs)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="small")(x)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(x))
    x = keras.layers.Dense(10, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax()(x))


def cell() -> keras.Model:
    """A small NAS-Bench-201 network; its cell has all five operations."""
    hp = keras_tuner.HyperParameters()
    hp.values = parse_genotype(CELL)
    return NASBench201((28, 28, 1), 10, channels=4, cells_per_stack=1).build(hp)


def pixels(images: np.ndarray, channels: int) -> np.ndarray:
    """Digits as floats; coloured so that each of three channels holds something else."""
    grey = images.astype(np.float32) / 255
    colours = [grey, grey[:, ::-1] / 2, 1 - grey]
    return np.concatenate(colours[:channels], axis=-1)


@pytest.fixture(scope="module")
def mnist():
    return load_dataset("mnist5k")


@pytest.fixture(scope="module", params=["convolutions", *left_to_all("cell")])
def case(request, mnist) -> Iterator[Case]:
    keras.utils.set_random_seed(0)
    build, *layers = {
        "convolutions": (convolutions, "large", "small"),
        "cell": (cell, "stack1_cell1_node3", "final_relu"),
    }[request.param]
    model = build()
    train(model, pixels(mnist.train.images[::5], model.input_shape[-1]), mnist.train.labels[::5])
    logits = keras.Model(model.input, model.get_layer("logits").output)
    _, rows = np.unique(mnist.test.labels, return_index=True)
    images = pixels(mnist.test.images[rows], model.input_shape[-1])
    yield Case(model, logits, images, mnist.test.labels[rows], *layers)
    other.explainers.BlackBoxExplainer._cache_models.clear()  # or Xplique keeps the models for ever


def train(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """A few steps, eagerly: to trace the cell's gradient takes longer than they do."""
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(images, labels, batch_size=100, verbose=0)


def assert_agree(ours: np.ndarray, theirs) -> None:
    """Every image's two maps correlate above 0.999 and have the same scale.

    Grad-CAM of a class that nothing speaks for is zero everywhere; both must say so.
    """
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    told = [pair for pair in zip(ours, theirs, strict=True) if np.any(pair)]
    assert len(told) > len(ours) / 2
    assert np.min([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in told]) > 0.999
    np.testing.assert_allclose(ours, theirs, atol=0.05 * np.abs(theirs).max())


def xplique_integrated_gradients(case: Case, points: int, **options):
    """Xplique's method; it takes the mean over the channels unless told to sum, as we do."""
    return other.xplique.IntegratedGradients(
        case.logits, steps=points, reducer="sum", batch_size=256, **options
    )


def test_integrated_gradients_by_the_same_rule(case):
    """Xplique adds up trapezoids between so many points, both ends included; we take the
    midpoints of so many steps. Trapezoids of half the width are the mean of the two rules, so
    Xplique's maps with 16 and with 8 intervals give ours with 8 steps exactly."""
    ours = IntegratedGradients(steps=8)(case.model, case.images, case.classes)
    methods = (xplique_integrated_gradients(case, points) for points in (17, 9))
    half, whole = (method(case.images, case.one_hot)[..., 0] for method in methods)
    assert_agree(ours, 2 * half - whole)


@quick
@pytest.mark.long
def test_integrated_gradients_with_many_steps_from_another_baseline(case):
    """The rules differ by less the more steps there are. Xplique's baseline is one number; ours
    is each channel's mean here, so the channels are given the same mean first."""
    images = case.images[:3] - case.images[:3].mean(axis=(1, 2), keepdims=True) + 0.25
    ours = IntegratedGradients(steps=200, baseline="mean")(case.model, images, case.classes[:3])
    method = xplique_integrated_gradients(case, 201, baseline_value=0.25)
    assert_agree(ours, method(images, case.one_hot[:3])[..., 0])


@pytest.mark.parametrize("layer", ["large", "small"])
def test_grad_cam_as_in_tf_keras_vis(case, layer):
    """tf-keras-vis' own enlargement puts the corners of the map on those of the image, and its
    map is scaled to 0..1. Both are off here: its map is enlarged as ours is."""
    name = getattr(case, layer)
    theirs = other.gradcam.Gradcam(case.logits)(
        case.score,
        case.images,
        penultimate_layer=name,
        seek_penultimate_conv_layer=False,  # a ReLU or a sum of several will do
        expand_cam=False,
        normalize_cam=False,
    )
    theirs = tf.image.resize(np.asarray(theirs)[..., None], (28, 28))[..., 0]
    assert_agree(GradCAM(layer=name)(case.model, case.images, case.classes), theirs)


def test_grad_cam_as_in_xplique(case):
    """Xplique enlarges by cubic interpolation, we by linear; so a map as large as the image."""
    theirs = other.xplique.GradCAM(case.logits, conv_layer=case.large)(case.images, case.one_hot)
    ours = GradCAM(layer=case.large)(case.model, case.images, case.classes)
    assert_agree(ours, theirs[..., 0])


def test_grad_cam_plus_plus_as_in_xplique(case):
    """Where equation 19 has a sum over a feature map, Xplique has the mean, as if the score
    were smaller by the number of pixels; so its score is made larger by that number.

    tf-keras-vis' Grad-CAM++ is another method: it divides the weights of each feature map's
    pixels by their sum, as the authors' program does and their paper doesn't.
    """
    method = other.xplique.GradCAMPP(case.logits, conv_layer=case.large)
    theirs = method(case.images, case.one_hot * 28 * 28)[..., 0]
    assert_agree(GradCAMPlusPlus(layer=case.large)(case.model, case.images, case.classes), theirs)


@quick
def test_gradient_times_input_as_in_xplique(case):
    """Xplique takes the mean over the channels unless told to sum, as we do."""
    theirs = other.xplique.GradientInput(case.logits, reducer="sum")(case.images, case.one_hot)
    assert_agree(GradientInput()(case.model, case.images, case.classes), theirs[..., 0])


@quick
def test_probabilities_are_explained_as_in_xplique(case):
    """Xplique explains whatever the model it is given returns."""
    theirs = other.xplique.GradientInput(case.model, reducer="sum")(case.images, case.one_hot)
    ours = GradientInput(output="probabilities")(case.model, case.images, case.classes)
    assert_agree(ours, theirs[..., 0])


def tf_keras_vis_gradients(case: Case, **options) -> np.ndarray:
    """tf-keras-vis' gradients (N, H, W, C), neither made positive, nor reduced to the largest
    channel, nor scaled to 0..1, all of which it does unless told otherwise."""
    method = other.saliency.Saliency(case.logits)
    plain = {"gradient_modifier": None, "keepdims": True, "normalize_map": False}
    return np.asarray(method(case.score, case.images, **plain, **options))


@quick
def test_gradient_times_input_as_in_tf_keras_vis(case):
    """tf-keras-vis has the gradient alone."""
    theirs = (tf_keras_vis_gradients(case) * case.images).sum(axis=-1)
    assert_agree(GradientInput()(case.model, case.images, case.classes), theirs)


@quick
def test_smooth_grad_as_in_tf_keras_vis(case, monkeypatch):
    """The noise is as strong, but tf-keras-vis draws it for each image anew; here it gets
    ours. Like us, it then takes the mean before it makes it positive."""
    noise = tf.random.stateless_normal((12, *case.images.shape[1:]), (5, 0)).numpy()
    monkeypatch.setattr(np.random, "normal", lambda _, sigma, __: sigma * noise[:, None])
    theirs = np.abs(tf_keras_vis_gradients(case, smooth_samples=12, smooth_noise=0.15)).sum(-1)
    ours = SmoothGrad(samples=12, noise=0.15, seed=5)(case.model, case.images, case.classes)
    assert_agree(ours, theirs)


@quick
@pytest.mark.parametrize(("stride", "inside"), [(4, slice(None)), *left_to_all((2, slice(4, -4)))])
def test_occlusion_as_in_xplique(case, stride, inside):
    """A pixel has the sum of the falls of its patches with Xplique, the mean of their shares
    with us; and only we cover the edges with parts of a patch, so overlapping patches agree
    only inside."""
    ours = Occlusion(patch=4, stride=stride)(case.model, case.images, case.classes)
    method = other.xplique.Occlusion(case.logits, patch_size=4, patch_stride=stride)
    patches = (4 // stride) ** 2  # that cover a pixel, each of 16 pixels
    theirs = method(case.images, case.one_hot)[..., 0] / patches / 16
    assert_agree(ours[:, inside, inside], theirs[:, inside, inside])
