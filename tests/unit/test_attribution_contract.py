"""One contract for all attribution methods, on all kinds of models and images."""

import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import left_to_all
from xnas_tf.attribution import ATTRIBUTIONS
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.explainer import always_trace, explainer_of
from xnas_tf.attribution.outputs import Outputs, probabilities_of
from xnas_tf.errors import InputError

CLASSES = 3
L = keras.layers


def chain(shape):
    """Layers from images (H, W[, C]) to class scores."""
    grey = [L.Reshape((*shape, 1))] if len(shape) == 2 else []
    convolutions = [L.Conv2D(4, 3, activation="swish"), L.Conv2D(5, 3), L.BatchNormalization()]
    return [*grey, *convolutions, L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(CLASSES)]


def functional(shape, ending=None):
    x = inputs = keras.Input(shape)
    for layer in [*chain(shape), *(ending or [L.Activation("softmax")])]:
        x = layer(x)
    return keras.Model(inputs, x)


def sequential(shape):
    return keras.Sequential([*chain(shape), L.Softmax()])  # not built yet


def nested(shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, functional(shape)(L.Rescaling(2.0)(inputs)))


def logits(shape):
    return functional(shape, [L.Rescaling(1.0)])


class Subclassed(keras.Model):
    """Its softmax is neither the layer defined last, nor is its call plain Python."""

    def __init__(self, shape):
        super().__init__()
        self.ending = L.Softmax()
        self.body = chain(shape)
        self.dropout = L.Dropout(0.5)

    @tf.function
    def call(self, images, training=False):
        for layer in self.body:
            images = layer(images, training=training) if "batch" in layer.name else layer(images)
        return self.ending(self.dropout(images, training=training))


def two_inputs(shape):
    images, extra = keras.Input(shape), keras.Input((2,))
    features = functional(shape, [L.ReLU()])(images)
    outputs = L.Dense(CLASSES, activation="softmax")(L.Concatenate()([features, extra]))
    return keras.Model([images, extra], outputs)


KINDS = {f.__name__: f for f in (functional, sequential, nested, logits, Subclassed, two_inputs)}
SHAPES = [(12, 12, 1), (10, 14, 3), (11, 9)]


def make(kind, shape, count=5):
    keras.utils.set_random_seed(3)
    model = KINDS[kind](shape)
    rng = np.random.default_rng(0)
    images = rng.random((count, *shape), np.float32)
    if kind == "two_inputs":
        return model, [images, rng.random((count, 2), np.float32)]
    return model, images


def rows(images, which):
    return [part[which] for part in images] if isinstance(images, list) else images[which]


CASES = [*[(kind, SHAPES[0]) for kind in KINDS], *[("functional", shape) for shape in SHAPES[1:]]]
# The other methods reach a model as these do: by its feature maps, its gradients, its outputs.
WAYS = "grad_cam", "gradient_input", "occlusion"
QUICK = [
    *itertools.product([("functional", SHAPES[1])], ATTRIBUTIONS.names()),
    *itertools.product([(kind, SHAPES[0]) for kind in ("Subclassed", "two_inputs")], WAYS[:2]),
]
ALL = itertools.product(CASES, ATTRIBUTIONS.names())


def by_way():
    """All methods, of which ``bin/test`` runs one with feature maps and one with gradients."""
    few = WAYS[:2]
    return [*few, *left_to_all(*(name for name in ATTRIBUTIONS.names() if name not in few))]


@pytest.fixture(scope="module")
def case(request):
    return make(*request.param)


@pytest.mark.parametrize(
    ("case", "name"),
    [*QUICK, *left_to_all(*(pair for pair in ALL if pair not in QUICK))],
    indirect=["case"],
    ids=str,
)
def test_contract(name, case):
    model, images = case
    cls = ATTRIBUTIONS.get(name)
    assert issubclass(cls, AttributionMethod) and cls.__doc__ and cls.title
    assert cls.name == name
    method = cls()
    maps = method(model, images)
    shown = images[0] if isinstance(images, list) else images
    assert maps.shape == shown.shape[:3] and maps.dtype == np.float32
    assert np.isfinite(maps).all() and (method.signed or maps.min() >= 0)
    np.testing.assert_array_equal(maps, cls()(model, images))

    predicted = np.argmax(model(images, training=False), axis=1)
    close = {"rtol": 1e-3, "atol": 1e-5 * max(1, np.abs(maps).max())}
    everything = method(model, images, "all")
    assert everything.shape == (5, CLASSES, *shown.shape[1:3])
    chosen = everything[np.arange(5), predicted]
    np.testing.assert_allclose(maps, chosen, **close)
    mixed = np.array([0, 2, 1, 1, 0])
    given = method(model, images, mixed)
    np.testing.assert_allclose(given, everything[np.arange(5), mixed], **close)
    alone = method(model, rows(images, slice(1, 2)), 2)
    np.testing.assert_allclose(alone, given[1:2], **close)
    with pytest.raises(ValueError):
        cls(no_such_option=1)


@pytest.mark.parametrize("name", by_way())
def test_neither_batches_nor_the_kind_of_output_are_ignored(name):
    model, images = make("functional", (10, 14, 3))
    cls = ATTRIBUTIONS.get(name)
    whole = cls()(model, images, 1)
    np.testing.assert_allclose(cls(batch=2)(model, images, 1), whole, rtol=1e-3, atol=1e-6)
    assert not np.allclose(cls(output="probabilities")(model, images, 1), whole, rtol=0.01)


@pytest.mark.parametrize("name", by_way())
@pytest.mark.parametrize("kind", ["functional", *left_to_all("Subclassed")])
def test_present_weights_count_and_the_model_is_left_as_it_was(name, kind, tmp_path):
    model, images = make(kind, (12, 12, 1))
    method = ATTRIBUTIONS.get(name)()
    before, outputs = method(model, images, 1), model(images)
    np.testing.assert_array_equal(outputs, model(images))
    assert not [layer for layer in model._flatten_layers() if "call" in vars(layer)]
    if kind == "functional":
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again(images), outputs, atol=1e-6)
    model.set_weights([2 * w for w in model.get_weights()])
    assert not np.allclose(method(model, images, 1), before)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "two_inputs"])
def test_probabilities_and_logits_of_any_ending(kind):
    """The softmax of the logits is what the model says."""
    model, images = make(kind, (12, 12, 1))
    outputs = np.asarray(model(images, training=False))
    found = probabilities_of(model, images)
    if kind == "logits":
        outputs = np.asarray(keras.ops.softmax(outputs))
    np.testing.assert_allclose(found, outputs, atol=1e-5)
    scores = explainer_of(model, Outputs())(images)
    np.testing.assert_allclose(keras.ops.softmax(scores), outputs, atol=1e-5)


@pytest.mark.long
def test_a_model_can_be_trained_after_it_was_explained():
    model, images = make("Subclassed", (12, 12, 1))
    ATTRIBUTIONS.get("integrated_gradients")()(model, images)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(images, np.zeros(5, int), verbose=0)
    assert any(not np.allclose(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_another_head_is_explained_anew():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((12, 12, 1)), *chain((12, 12, 1))])
    images = np.random.default_rng(0).random((2, 12, 12, 1), np.float32)
    method = ATTRIBUTIONS.get("gradient_input")()
    method(model, images, 1)
    model.pop()
    model.add(L.Dense(2))
    fresh = keras.models.clone_model(model)
    fresh.set_weights(model.get_weights())
    np.testing.assert_allclose(method(model, images, 1), method(fresh, images, 1), atol=1e-6)


def test_inputs_in_another_order_and_new_weights_are_traced_again():
    keras.utils.set_random_seed(0)
    b, a = keras.Input((4, 4, 1), name="b"), keras.Input((4, 4, 1), name="a")
    dense = L.Dense(2)
    outputs = dense(L.Concatenate()([L.Flatten()(b), L.Flatten()(a)]))
    model = keras.Model([b, a], outputs)
    always_trace(model)
    first, second = np.random.default_rng(0).random((2, 2, 4, 4, 1), np.float32)
    method = ATTRIBUTIONS.get("gradient_input")()
    kernel = dense.kernel.numpy()[:16, 1].reshape(4, 4)
    by_name = method(model, {"b": first, "a": second}, 1)  # explains a, the first name
    np.testing.assert_allclose(by_name, second[..., 0] * dense.kernel.numpy()[16:, 1].reshape(4, 4))
    np.testing.assert_allclose(method(model, [first, second], 1), first[..., 0] * kernel)
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones((2, 2)))
    kernel = dense.kernel.numpy()[:16, 1].reshape(4, 4)  # now with the product of both factors
    found = method(model, [first, second], 1)
    np.testing.assert_allclose(found, first[..., 0] * kernel, rtol=1e-5)


def test_a_dictionary_may_name_inputs_of_different_shapes():
    extra, images = keras.Input((3,), name="extra"), keras.Input((4, 4, 1), name="a")
    outputs = L.Dense(2)(L.Concatenate()([extra, L.Flatten()(images)]))
    model = keras.Model([extra, images], outputs)
    given = {"extra": np.zeros((2, 3)), "a": np.ones((2, 4, 4, 1))}
    assert ATTRIBUTIONS.get("gradient_input")()(model, given).any()


@pytest.mark.parametrize("name", ATTRIBUTIONS.names())
@pytest.mark.long
def test_everything_is_freed_with_the_model(name):
    def explain():
        model, images = make("functional", (12, 12, 1))
        ATTRIBUTIONS.get(name)()(model, images)
        return weakref.ref(model)

    explain()
    keras.backend.clear_session()
    gc.collect()
    known = {id(it) for it in gc.get_objects() if type(it).__name__ == "FuncGraph"}
    model = explain()
    keras.backend.clear_session()
    gc.collect()
    assert model() is None
    graphs = [it for it in gc.get_objects() if type(it).__name__ == "FuncGraph"]
    assert [graph.name for graph in graphs if id(graph) not in known] == []


class Unsummed(AttributionMethod):
    """Forgets to sum over the channels."""

    def attribute(self, score, images):
        return images


class Coarse(AttributionMethod):
    """Forgets to resize."""

    title = "coarse maps"

    def attribute(self, score, images):
        return images[:, ::2, ::2, 0]


def test_a_method_of_ones_own_needs_no_name_but_must_return_maps():
    assert (Unsummed.name, Unsummed.title) == ("Unsummed", "Unsummed")
    assert (Coarse.name, Coarse.title) == ("Coarse", "coarse maps")
    model, images = make("functional", (10, 14, 3))
    for method, targets, shape in (
        (Unsummed, "predicted", r"\(5, 10, 14, 3\)"),
        (Unsummed, "all", r"\(5, 3, 10, 14, 3\)"),
        (Coarse, 1, r"\(5, 5, 7\)"),
    ):
        message = f"{method.__name__}.attribute returns an array of shape {shape} for all images"
        with pytest.raises(InputError, match=message):
            method()(model, images, targets)
