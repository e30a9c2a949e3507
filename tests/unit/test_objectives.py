"""One contract for every registered objective; then what each must be."""

import gc
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

from tests.ranks import on_ranks
from xnas_tf.data.watermark import Bug, Watermark, checkerboard
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError, NotApplicable, RunError
from xnas_tf.keras_tools import tflite
from xnas_tf.objectives import OBJECTIVES, latency
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.cost import count_flops
from xnas_tf.objectives.performance import Error

CLASSES = 3
NAMES = ("a", "b", "c")


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Conv2D(5, 3)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x))


def make_subject(model, count=70, seed=0, predicted=None):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    if predicted is None:
        predicted = rng.integers(0, CLASSES, count)
    probabilities = np.eye(CLASSES, dtype=np.float32)[predicted]
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    figures = {"loss": 0.5, "val_loss": 0.75}
    bug = Bug("watermark", 1, Watermark(checkerboard(2), 1, 1), 20)
    truth = {"masks": rng.random((count, 8, 8)) < 0.3, "bug": bug}
    return Subject(model, SingleProcess(), NAMES, images, labels, probabilities, figures, **truth)


def flattened(layer):
    """A network of one layer whose outputs are flattened."""
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, keras.layers.Flatten()(layer(inputs)))


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture
def clock(monkeypatch):
    """Replaces the clock by one on which each timed batch takes what is given, in ns."""

    def set_durations(durations):
        ticks = itertools.chain.from_iterable((0, duration) for duration in durations)
        for module in (latency, tflite):
            monkeypatch.setattr(module, "perf_counter_ns", ticks.__next__)

    return set_durations


GIVEN = {
    "metric:": {"name": "metric:loss", "direction": "minimize"},
    **dict.fromkeys(("fidelity", "conciseness", "disentanglement"), {"epochs": 1}),
}
"""Options of those objectives that need some, or would take long."""


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_contract(name, model, clock):
    clock(itertools.repeat(1_000_000))  # a real one never says the same twice
    cls = OBJECTIVES.get(name)
    objective = cls(**GIVEN.get(name, {}))
    assert issubclass(cls, Objective) and objective.name.startswith(name) and cls.__doc__
    assert objective.sign == (1 if objective.direction == "minimize" else -1)
    before = [w.copy() for w in model.get_weights()]
    subject = make_subject(model)
    first, again = objective.score(subject), objective.score(subject)
    assert np.isfinite(first.value) and first == again
    assert all(isinstance(v, float) for v in [first.value, *first.metrics.values()])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    if not objective.needs_training:
        assert objective.score(Subject(model, SingleProcess(), NAMES)) == first
    with pytest.raises(ValueError):
        cls(no_such_option=1)


def test_error_is_the_share_of_wrong_answers(model):
    subject = make_subject(model)
    assert Error().score(subject).value == np.mean(subject.predicted != subject.labels)


def test_a_metric_is_that_of_the_validation_part(model):
    subject = make_subject(model)
    metric = OBJECTIVES.get("metric:loss")(name="metric:loss", direction="minimize")
    assert metric.score(subject).value == 0.75
    with pytest.raises(InputError, match="unknown metric 'los' .*did you mean 'loss'"):
        metric.model_copy(update={"name": "metric:los"}).score(subject)


def test_flops_of_a_dense_layer_are_two_per_weight_and_one_per_bias():
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(7)])
    assert count_flops(model) == 2 * 20 * 7 + 7


def test_flops_of_grouped_convolutions_and_attention_are_counted():
    layers, images = keras.layers, keras.Input((8, 8, 4))
    grouped = layers.Conv2D(6, 3, padding="same", groups=2, use_bias=False)(images)
    assert count_flops(keras.Model(images, grouped)) == 2 * 64 * 9 * 2 * 6
    tokens = keras.Input((5, 4))
    product = layers.EinsumDense("...x,xyz->...yz", (2, 3))(tokens)
    assert count_flops(keras.Model(tokens, product)) == 2 * 5 * 4 * 6
    attention = layers.MultiHeadAttention(2, 3, use_bias=False)(tokens, tokens)
    projections, products = 4 * (2 * 5 * 4 * 6), 2 * (2 * 5 * 5 * 6)
    others = count_flops(keras.Model(tokens, attention)) - projections - products
    assert 0 < others < products  # of the softmax and the scaling


class Gate(keras.layers.Layer):
    """Doubles its inputs if their sum is positive, in a function that needs AutoGraph."""

    def call(self, inputs):
        return self._doubled(inputs)

    @tf.function
    def _doubled(self, inputs):
        if tf.reduce_sum(inputs) > 0:
            return 2.0 * inputs
        return inputs


class PositiveRows(keras.layers.Layer):
    """Multiplies the positive rows by a matrix."""

    def call(self, inputs):
        return tf.einsum("nx,xy->ny", tf.boolean_mask(inputs, inputs[:, 0] > 0), tf.ones((4, 2)))


def test_flops_of_a_layer_that_needs_autograph_are_counted():
    inputs = keras.Input((20,))
    model = keras.Model(inputs, Gate()(keras.layers.Dense(7)(inputs)))
    assert count_flops(model) == 2 * 20 * 7 + 3 * 7  # the bias, and the gate's products and sum


@pytest.mark.parametrize(
    ("shape", "layer", "why"),
    [
        ((4,), PositiveRows(), "tensors of unknown size"),
        ((None, None, 3), keras.layers.Conv2D(4, 3), "takes images of any size"),
        ((6, 4), keras.layers.GRU(3), "contains a loop"),
    ],
)
def test_flops_that_cannot_be_counted_are_not_0(shape, layer, why):
    inputs = keras.Input(shape)
    with pytest.raises(NotApplicable, match=why):
        count_flops(keras.Model(inputs, layer(inputs)))


@pytest.mark.parametrize(
    "options",
    [{"device": "/CPU:0"}, {"backend": "tflite", "threads": 2}, {"backend": "tflite_int8"}],
)
def test_latency_is_the_median_of_an_image(model, clock, options):
    milliseconds = np.random.default_rng(0).permutation(np.arange(10, 21))
    clock(int(each) * 1_000_000 for each in milliseconds)
    measure = latency.Latency(batch_size=4, repeats=11, **options)
    score = measure.score(Subject(model, SingleProcess(), NAMES))
    low, high = (score.metrics[f"latency/percentile_{q}"] for q in (10, 90))
    assert (low, score.value, high) == pytest.approx((11 / 4, 15 / 4, 19 / 4))


@pytest.mark.parametrize(
    ("medians", "expected"), [((13, 2, 1), 2), ((13, 9, 5), 5), ((13, 5, 9), 5), ((1, 13, 9), 1)]
)
def test_latency_is_measured_again_while_the_load_varies(model, monkeypatch, medians, expected):
    """Only 1 and 2 are steady: of the others, the 10th percentile is a third of the 90th."""
    spreads = [np.array([m, m, m] if m < 3 else [m / 2, m, 1.5 * m]) / 1e3 for m in medians]
    measured = iter(spreads)
    monkeypatch.setattr(latency, "time_batches", lambda *_: next(measured))
    score = latency.Latency(repeats=3).score(Subject(model, SingleProcess(), NAMES))
    assert score.value == pytest.approx(expected)


def test_latency_is_measured_on_batches_of_that_size(clock):
    shapes = set()

    class Watching(keras.layers.Layer):
        def call(self, x):
            shapes.add(x.shape)
            return x

    model = flattened(Watching())
    shapes.clear()
    clock(itertools.repeat(1))
    latency.Latency(batch_size=3).score(Subject(model, SingleProcess(), NAMES))
    assert shapes == {(3, 8, 8, 1)}


def test_latency_is_rank_0s(model, clock):
    clock(itertools.repeat(2_000_000))
    scores = on_ranks(
        3,
        lambda ranks: latency.Latency().score(
            Subject(model if ranks.rank == 0 else None, ranks, NAMES)
        ),
    )
    assert [score.value for score in scores] == [2.0] * 3


class Fragile(keras.layers.Flatten):
    broken = False

    def call(self, x):
        if self.broken:
            raise ValueError("it broke")
        return super().call(x)


def test_latency_of_a_network_that_fails_fails_on_all_ranks():
    fragile = Fragile()
    model = flattened(fragile)
    fragile.broken = True

    def said(ranks):
        with pytest.raises(RunError, match="latency cannot be measured: ValueError"):
            latency.Latency().score(Subject(model, ranks, NAMES))
        return True

    assert on_ranks(2, said) == [True, True]


def test_unknown_device_is_refused():
    with pytest.raises(InputError, match="latency: device: '/GPU:77' .*allowed: /CPU:0.*auto"):
        latency.Latency(device="/GPU:77").check(NAMES)
    latency.Latency(device="/CPU:0").check(NAMES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": 2}, "threads 2, .* no effect with backend keras; allowed: with backend tfl"),
        (
            {"backend": "tflite", "device": "/CPU:0"},
            "device /CPU:0, .* no effect with backend tflite; allowed: with backend keras",
        ),
        ({"backend": "tflight"}, "keras', 'tflite"),
    ],
)
def test_options_of_another_backend_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        latency.Latency(**options)


def test_a_network_that_tflite_cannot_convert_has_no_latency():
    model = flattened(keras.layers.Resizing(4, 4, "bicubic", name="smaller"))
    with pytest.raises(RunError, match=r"Lite cannot convert ResizeBicubic \(layer smaller\)"):
        latency.Latency(backend="tflite").score(Subject(model, SingleProcess(), NAMES))


@pytest.mark.parametrize("backend", ["keras", "tflite_int8"])
def test_latency_leaves_no_graph_behind(clock, backend):
    """``silu`` has a custom gradient, which TensorFlow enters in a table with its graph."""
    model = flattened(keras.layers.Conv2D(4, 3, activation="silu"))
    clock(itertools.repeat(1))
    before = _graphs()
    latency.Latency(backend=backend).score(Subject(model, SingleProcess(), NAMES))
    assert _graphs() <= before


def _graphs():
    gc.collect()
    return sum(isinstance(each, FuncGraph) for each in gc.get_objects())


class Traced(keras.layers.Layer):
    @tf.function
    def call(self, x, training=None):
        return tf.nn.silu(x)


def test_network_with_traces_of_its_own_has_gradients_after_its_latency(clock):
    model = flattened(Traced())
    clock(itertools.repeat(1))
    latency.Latency().score(Subject(model, SingleProcess(), NAMES))
    images = tf.ones((1, 8, 8, 1))
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = model(images, training=False)
    assert np.all(tape.gradient(outputs, images) > 0)
