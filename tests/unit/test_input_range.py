from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import xnas_tf as xt
from tests.conftest import left_to_all
from xnas_tf.data import Dataset, Split
from xnas_tf.data.value_scaling import Scaling
from xnas_tf.errors import InputError
from xnas_tf.explanation.expert_text import explanation_page
from xnas_tf.interpretation.accuracy_text import accuracy_paragraph
from xnas_tf.keras_tools.input_range import declare_range, from_unit, range_of, scaled
from xnas_tf.keras_tools.range_names import (
    CHANNEL_CAUSE,
    RANGES,
    check_range,
    limits_of,
    range_name,
)
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.chance_level import Accuracy, report_accuracy
from xnas_tf.training.class_predictions import Predictions, predictions, try_ranges

ROOT = Path(__file__).parents[2]
SHAPE = (12, 12, 3)
applications = keras.applications


def after(*first, dtype="float32"):
    """A sequential model with these layers before its first convolution."""
    ends = [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential([keras.Input(SHAPE, dtype=dtype), *first, *ends])


def functional(function):
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(2, 3)(function(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def adapted(low, high):
    layer = layers.Normalization()
    images = np.random.default_rng(0).random((40, *SHAPE), np.float32)
    layer.adapt(images * (high - low) + low)
    return layer


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale, self.rest = layers.Rescaling(1 / 255), layers.Conv2D(2, 3)
        self.flat, self.end = layers.Flatten(), layers.Dense(3)

    def call(self, inputs):
        return self.end(self.flat(self.rest(self.scale(inputs) * 2.0 - 1.0)))


def nested(inputs):
    inner = keras.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(3, 3)])
    return keras.Sequential([inner, layers.ReLU()])(inputs)


MODELS = {
    "plain": (after, "0-1", "no layer scales"),
    "255": (lambda: after(layers.Rescaling(1 / 255)), "0-255", "Rescaling"),
    "127.5": (lambda: after(layers.Rescaling(1 / 127.5, -1)), "0-255", "0 to 255 into -1 to 1"),
    "augmented": (
        lambda: after(layers.RandomFlip(), layers.ZeroPadding2D(2), layers.Rescaling(1 / 255)),
        "0-255",
        "0 to 255 into 0 to 1",
    ),
    "flat": (
        lambda: keras.Sequential(
            [keras.Input(SHAPE), layers.Flatten(), layers.Rescaling(1 / 255), layers.Dense(3)]
        ),
        "0-255",
        "Rescaling",
    ),
    "centred": (lambda: after(layers.Rescaling(2, -1)), "0-1", "0 to 1 into -1 to 1"),
    "from -1": (lambda: after(layers.Rescaling(0.5, 0.5)), "-1-1", "-1 to 1 into 0 to 1"),
    "undone": (lambda: functional(lambda x: nested(layers.Rescaling(255)(x))), "0-1", "no layer"),
    "normalized": (lambda: after(adapted(0, 1)), "0-1", "Normalization"),
    "normalized 255": (lambda: after(adapted(0, 255)), "0-255", "Normalization"),
    "normalized -1": (lambda: after(adapted(-1, 1)), "-1-1", "Normalization"),
    "both": (lambda: after(layers.Rescaling(1 / 255), adapted(0, 1)), "0-255", "Rescaling"),
    "imagenet": (
        lambda: after(layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05] * 3)),
        "0-1",
        "Normalization",
    ),
    "mnist": (
        lambda: after(layers.Normalization(mean=0.1307, variance=0.3081**2)),
        "0-1",
        "Normalization",
    ),
    "not adapted": (lambda: after(layers.Normalization(mean=0, variance=1)), "0-1", "no layer"),
    "nested": (lambda: functional(nested), "0-255", "Rescaling"),
    "operations": (lambda: functional(lambda x: x / 127.5 - 1.0), "0-255", "first part"),
    "caffe": (lambda: functional(applications.resnet50.preprocess_input), "0-255", "first part"),
    "tf": (lambda: functional(applications.mobilenet_v2.preprocess_input), "0-255", "first part"),
    "clipped": (lambda: functional(lambda x: keras.ops.clip(x, 0, 1)), "0-1", "measured"),
    "subclassed": (Subclassed, "0-255", "Rescaling"),
    "bytes": (lambda: after(layers.Rescaling(1 / 255), dtype="uint8"), "0-255", "type uint8"),
    "half": (
        lambda: after(layers.Rescaling(1 / 255, dtype="bfloat16"), adapted(0, 1)),
        "0-255",
        "Rescaling",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_first_layers_tell_the_range(name):
    make, wanted, reason = MODELS[name]
    found = range_of(make(), SHAPE)
    assert found.name == wanted and reason in found.text


@pytest.mark.long
@pytest.mark.parametrize(
    ("make", "options", "wanted"),
    [
        (applications.MobileNetV3Small, {"alpha": 0.35}, "0-255"),
        (applications.MobileNetV3Small, {"alpha": 0.35, "include_preprocessing": False}, "0-1"),
        (applications.EfficientNetB0, {}, "0-255"),
        (applications.ConvNeXtTiny, {"include_top": False, "pooling": "avg"}, "0-255"),
    ],
)
def test_keras_applications_tell_their_own_preprocessing(make, options, wanted):
    model = make(weights=None, input_shape=(32, 32, 3), classes=3, **options)
    assert range_of(model, (32, 32, 3)).name == wanted


def test_what_is_given_or_trained_by_us_is_not_guessed():
    model = after(layers.Rescaling(1 / 255))
    assert range_of(model, SHAPE, "-1-1").name == "-1-1"
    assert range_of(declare_range(model), SHAPE).text == (
        "input range 0-1: as xnas-tf trained the model"
    )
    assert range_of(model, SHAPE, "0.0 - 16").text == "input range 0-16: as given"


@pytest.mark.parametrize(
    ("text", "limits", "name"),
    [
        ("0-16", (0, 16), "0-16"),
        ("-2.5-2.5", (-2.5, 2.5), "-2.5-2.5"),
        ("-2--1", (-2, -1), "-2--1"),
        ("1e-3-1", (0.001, 1), "0.001-1"),
        ("-0-1.0", (0, 1), "0-1"),
        (".5 - 4096", (0.5, 4096), "0.5-4096"),
    ],
)
def test_any_range_can_be_given(text, limits, name):
    assert limits_of(text) == limits and check_range(text) == name


@given(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2).filter(lambda each: each[0] < each[1]))
def test_the_name_of_a_range_keeps_its_float32_limits(limits):
    assert tuple(np.float32(limits_of(range_name(*limits)))) == limits


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("aut", "'aut' .did you mean 'auto'. allowed: -1-1, 0-1, 0-255, any LOW-HIGH such as 0-16"),
        ("16", "'16' .* any LOW-HIGH"),
        ("0:16", "no range is called '0:16'"),
        ("1-2-3", "no range is called '1-2-3'"),
        ("nan-1", "no range is called 'nan-1'"),
        ((0, 16), "no range is called"),
        ("16-0", "from 16 to 0; allowed: LOW-HIGH with LOW below HIGH"),
        ("0-1e999", "from 0 to inf; allowed"),
    ],
)
def test_what_is_no_range_is_named(text, says):
    with pytest.raises(InputError, match=says):
        range_of(after(), SHAPE, text)


def test_images_become_what_keras_makes_of_them():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    expected = {"0-1": images / np.float32(255), "0-255": images.astype(np.float32)}
    expected["-1-1"] = applications.mobilenet_v2.preprocess_input(images.astype(np.float32))
    for name in RANGES:
        np.testing.assert_array_equal(scaled(images, name), expected[name])
        np.testing.assert_array_equal(from_unit(images / np.float32(255), name), expected[name])
    other = {"0-16": images * np.float32(16 / 255), "-2.5-2.5": images / 51 - 2.5}
    for name, values in other.items():
        np.testing.assert_allclose(scaled(images, name), values, rtol=1e-6, atol=1e-6)


def test_uint8_images_reach_a_model_in_its_range():
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    model = after(layers.Rescaling(1 / 255))
    found = xt.explain(model, images, ["gradient_input"])
    expected = keras.ops.softmax(model(images.astype(np.float32)))
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-4)
    assert found.input_range == "0-255"


@pytest.mark.parametrize("name", ["-3-5", *left_to_all("0-16", "10-20")])
def test_maps_are_those_of_a_model_that_scales_by_itself(name):
    """The baseline is black, and the noise is relative to the range, whatever the range is."""
    low, high = limits_of(name)
    keras.utils.set_random_seed(0)
    plain = after()
    scaling = layers.Rescaling((high - low) / 255, low)
    itself = keras.Sequential([keras.Input(SHAPE), scaling, *plain.layers])
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    methods = ["integrated_gradients", "smooth_grad", "occlusion"]
    wanted = xt.explain(itself, images, methods, measured=True, input_range="0-255")
    found = xt.explain(plain, images, methods, measured=True, input_range=name)
    assert found.input_range == name
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=1e-3)
    floats = xt.explain(plain, scaled(images, name).numpy(), methods, input_range=name)
    for one, maps in found.maps.items():
        np.testing.assert_allclose(floats.maps[one], maps, rtol=1e-3, atol=1e-3 * np.ptp(maps))
    for (one, maps), (other, expected) in zip(found.maps.items(), wanted.maps.items(), strict=True):
        largest = [np.abs(each).max(axis=(1, 2), keepdims=True) for each in (maps, expected)]
        shares = maps / (largest[0] + 1e-12), expected / (largest[1] + 1e-12)
        np.testing.assert_allclose(*shares, atol=0.01)
        for metric in ("deletion", "insertion", "max_sensitivity"):
            pair = found.quality[one][metric], wanted.quality[other][metric]
            np.testing.assert_allclose(*pair, atol=0.02)


def test_a_mean_and_a_deviation_of_each_channel_can_be_put_before_a_model():
    """As docs/how-to/explaining.md says: the range is that of the pixels, without a word given."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    trained = after()
    first = [layers.Rescaling(1 / 255), layers.Normalization(mean=mean, variance=deviation**2)]
    whole = keras.Sequential([keras.Input(SHAPE), *first, trained])
    found = range_of(whole, SHAPE)
    assert (found.name, found.origin) == ("0-255", "measured")
    images = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    wanted = trained(((images / 255 - mean) / deviation).astype(np.float32))
    np.testing.assert_allclose(whole(scaled(images, found.name)), wanted, rtol=1e-4, atol=1e-4)


def bright(split: float = 127.0, slope: float = 1.0):
    """Right about which images are bright, if it gets 0 to 255 with a split of 127."""
    inputs = keras.Input((4, 4, 1))
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, x)
    model.layers[-1].set_weights([np.array([[0.0, slope]]), np.array([0.0, -slope * split])])
    return model


def part(count=40):
    labels = np.arange(count, dtype=np.int32) % 2
    noise = np.random.default_rng(0).integers(0, 50, (count, 4, 4, 1))
    return Split((noise + 160 * labels[:, None, None, None]).astype(np.uint8), labels)


def test_a_model_at_chance_is_warned_of_with_what_may_be_wrong():
    told: list[str] = []
    model, images = bright(), part()
    taken = range_of(model, (4, 4, 1))
    found = predictions(model, images, taken.name)
    full = report_accuracy(found, taken, told.append, model, images, Scaling())
    assert full.input_range == "0-1" and full.by_class == ((20, 20), (0, 20))
    others = {each.input_range: each.value for each in full.tried}
    assert others == {"-1-1": 0.5, "0-255": 1.0}
    assert told[0].startswith("accuracy 50.00%: 20 of 40 test images")
    assert told[1].startswith("warning: this is no better than always predicting the most frequent")
    assert "0-255: accuracy 100.00%" in told[1] and "`input_range`" in told[1]
    better = "warning: with values in the range 0-255, the model classifies 40 of 40 images"
    assert told[2].startswith(better) and "with 0-1, only 20" in told[2] and len(told) == 3
    assert [CHANNEL_CAUSE in line for line in told] == [False, False, True]
    right = range_of(model, (4, 4, 1), "0-255")
    found = predictions(model, images, right.name)
    good = report_accuracy(found, right, told.append, model, images, Scaling())
    assert (good.correct, good.images, good.commonest) == (40, 40, 20) and not good.is_chance
    assert good.confidence > 0.99 and not good.is_unsure
    assert len(told) == 4 and not any(each.is_better for each in good.tried)


def test_a_model_at_chance_in_every_range_may_expect_a_mean_and_a_deviation():
    """The model is right about all images once these have a mean of 0 and a deviation of 1."""
    model, shown = bright(0.0, 40.0), []
    images = Split(part().images // 2, part().labels)  # none is brighter than grey
    values = images.images.astype(np.float32)
    standard = (values - values.mean()) / values.std()
    assert (model.predict(standard, verbose=0).argmax(axis=1) == images.labels).all()
    taken = range_of(model, (4, 4, 1))
    found = predictions(model, images, taken.name)
    accuracy = report_accuracy(found, taken, shown.append, model, images, Scaling())
    assert accuracy.is_chance and len(shown) == 2 and CHANNEL_CAUSE in shown[1]
    assert CHANNEL_CAUSE in accuracy_paragraph(accuracy.as_dict())
    page = (ROOT / "docs/how-to/explaining.md").read_text(encoding="utf-8")
    assert (
        CHANNEL_CAUSE.split(": see ")[1]
        == "docs/how-to/explaining.md, section Name the input range"
    )
    section = page.partition("\n## Name the input range\n")[2].partition("\n## ")[0]
    assert "standard deviation" in section and "keras.layers.Normalization(" in section


@pytest.mark.parametrize(
    ("named", "split", "is_better"), [("auto", 10, True), ("0-255", 10, False)]
)
def test_a_range_that_is_clearly_better_is_warned_of_above_chance(named, split, is_better):
    """Of four classes, the model knows two if it gets 0 to 1, and all if it gets 0 to 255."""
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(inputs)))
    slopes = np.arange(4.0)[None]  # class k is most probable around level 60 k
    model.layers[-1].set_weights([slopes, -30 * np.arange(4.0) ** 2])
    labels = np.repeat([0, 0, 0, 1, 2, 3], 20).astype(np.int32)
    levels = (
        np.random.default_rng(0).integers(-20, 20, (120, 4, 4, 1))
        + 60 * labels[:, None, None, None]
    )
    images, told = Split(np.clip(levels, 0, 255).astype(np.uint8), labels), []
    taken = range_of(model, (4, 4, 1), named)
    found = predictions(model, images, taken.name)
    full = report_accuracy(found, taken, told.append, model, images, Scaling())
    assert [each.input_range for each in full.tried if each.is_better] == ["0-255"] * is_better
    assert any("So 0-1 is probably wrong" in line for line in told) == is_better


def test_other_ranges_are_compared_on_the_same_images_of_a_sorted_split(monkeypatch):
    monkeypatch.setattr("xnas_tf.training.class_predictions.MOST_TRIED", 20)
    images = part(60).select(np.argsort(part(60).labels, kind="stable"))
    used = images.labels.copy()
    used[:5] = 1  # five mistakes among the dark images
    (other,) = try_ranges(bright(), images, used, ["0-255"])
    rows = np.sort(np.random.default_rng(0).choice(60, 20, replace=False))
    assert (other.images, other.correct, other.before) == (20, 20, 20 - (rows < 5).sum())
    assert 0 < (rows < 30).sum() < 20 and not other.is_better  # too few images differ to tell


def test_a_range_that_the_model_does_not_accept_is_left_out():
    class Strict(layers.Layer):
        def call(self, x):
            tf.debugging.assert_less_equal(x, 1.0)
            return x

    inputs = keras.Input((4, 4, 1))
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(Strict()(inputs)))
    tried = try_ranges(keras.Model(inputs, outputs), part(), part().labels, ["0-255", "-1-1"])
    assert [each.input_range for each in tried] == ["-1-1"]


def test_a_confidence_far_below_the_accuracy_is_warned_of_with_the_range_of_the_data():
    """The model expects 0 to 16 with a split of 8; from 0 to 1, all is at the edge of a half."""
    model, images, told = bright(0.5, 1.0), part(), []
    data = Scaling(0, 16)
    assumed = range_of(model, (4, 4, 1))
    found = predictions(model, images, assumed.name)
    accuracy = report_accuracy(found, assumed, told.append, model, images, data)
    assert accuracy.value == 1 and 0.5 < accuracy.confidence < 0.65 and accuracy.is_unsure
    assert told[1].startswith("warning: the mean probability of the predicted classes is only 5")
    assert (
        "0-1, such as the data set's own, 0-16 (`input_range` 0-16: accuracy" in told[1]
        and "`input_range`" in told[1]
    )
    assert accuracy.as_dict()["low_confidence"] and told[1].count(CHANNEL_CAUSE) == 1
    certain = range_of(declare_range(model), (4, 4, 1))
    assert certain.is_certain  # its confidence is not measured
    report_accuracy(found, certain, told.append, model, images, data)
    assert len(told) == 3


def test_no_other_range_is_tried_if_the_range_is_certain():
    told: list[str] = []
    model, images = declare_range(bright()), part()
    certain = range_of(model, (4, 4, 1))
    dark = Predictions(np.zeros(40, int), np.ones(40))
    full = report_accuracy(dark, certain, told.append, model, images, Scaling(0, 16))
    assert full.range_origin == "trained" and not full.tried
    assert told[1].endswith("so the training may have failed") and "input_range" not in told[1]


def test_too_few_images_to_tell_a_model_from_chance_are_no_cause():
    told: list[str] = []
    model, images = bright(127.0), part(2)
    right = range_of(model, (4, 4, 1), "0-255")
    found = predictions(model, images, right.name)
    report_accuracy(found, right, told.append, model, images, Scaling())
    assert "not clearly better" in told[1] and "too few test images to tell" in told[1]
    assert "no better" not in told[1] and "auses" not in told[1]


@pytest.mark.parametrize(("confidence", "is_unsure"), [(0.74, True), (0.76, False), (None, False)])
def test_a_confidence_is_low_more_than_25_points_below_the_accuracy(confidence, is_unsure):
    assert Accuracy(100, 100, 50, confidence).is_unsure == is_unsure


@pytest.mark.parametrize(("named", "lines"), [("auto", 2), ("0-1", 1)])
def test_an_assumed_range_is_compared_with_that_of_the_data(named, lines):
    model, images, told = bright(0.5, 20.0), part(), []
    taken = range_of(model, (4, 4, 1), named)
    found = predictions(model, images, taken.name)
    accuracy = report_accuracy(found, taken, told.append, model, images, Scaling(-2.5, 5))
    assert len(told) == lines and not accuracy.is_unsure
    if lines == 2:
        assert told[1].startswith("the values of the data set range from -2.5 to 5. If the model")
        assert "-2.5-5: accuracy" in told[1]


def test_explain_warns_in_python_of_an_assumed_range(caplog):
    """Without labels, of the assumption; with labels, only if another range is clearly better."""
    images, known = part().images, {"methods": ["gradient_input"]}
    found = xt.explain(bright(), images, **known)
    assert "input range 0-1: assumed, because no layer scales" in caplog.text
    assert found.range_origin == "assumed" and "0-1 (assumed)" in found._repr_html_()
    caplog.clear()
    found = xt.explain(bright(), images, labels=part().labels, **known)
    assert "with values in the range 0-255, the model classifies 40 of 40" in caplog.text
    assert (
        "With 0 to 255, the model is right on 40 of 40" in explanation_page(found.as_dict()).problem
    )
    caplog.clear()
    assert (
        not xt.explain(bright(0.4, 9), images, labels=part().labels, **known)
        .other_ranges[0]
        .is_better
    )
    xt.explain(bright(), images, input_range="0-255", **known)
    assert not caplog.text


@pytest.mark.parametrize("command", ["disentangle", *left_to_all("train_interpreter")])
def test_what_learns_from_a_model_says_the_accuracy_first(command):
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 1, activation="relu", name="conv")(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    ones = np.array([[[[1.0, 1.0]]]])
    model.get_layer("conv").set_weights([ones * [1, -1], np.array([0.0, 1.0])])
    model.layers[-1].set_weights([np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2)])
    data = Dataset("bright", ("dark", "bright"), part(), part(20), part(30))
    told: list[str] = []
    options = {"epochs": 1, "log": told.append}
    options |= {"attributes": 2} if command == "train_interpreter" else {"beta": 0.1}
    found = getattr(xt, command)(model, data, **options)
    assert found.input_range.name == "0-255"
    lines = [line for line in told if line.startswith(("input range", "accuracy", "warning"))]
    assert lines[0].startswith("input range 0-255: Rescaling")
    assert lines[1].startswith("accuracy 100.00%: 30 of 30") and len(lines) == 2


def test_a_search_warns_of_models_that_scale_what_is_scaled():
    import keras_tuner

    class Mine(keras_tuner.HyperModel):
        def build(self, hp):
            hp.Choice("width", [1, 2])
            return after(layers.Rescaling(1 / 255, name="mine"))

    (note,) = SearchSpace(Mine(), SHAPE, 3).notes
    assert "Rescaling 'mine'" in note and "keras.layers.Rescaling(255) before it" in note


def test_grey_images_need_no_channel_axis():
    ends = [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((6, 7, 1)), *ends])
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 7), dtype=np.uint8)
    for given_images in (images, np.float32(images / 255)):
        found = xt.explain(model, given_images, ["gradient_input"])
        expected = xt.explain(model, given_images[..., None], ["gradient_input"])
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    (maps,) = found.maps.values()
    assert maps.shape == (2, 6, 7) and found.images.shape == (2, 6, 7, 1)


def test_images_of_a_model_without_channels_keep_their_shape():
    model = keras.Sequential([keras.Input((6, 7)), layers.Flatten(), layers.Dense(3)])
    images = np.random.default_rng(0).random((2, 6, 7), np.float32)
    assert xt.explain(model, images, ["gradient_input"]).images.shape == (2, 6, 7)


@pytest.mark.parametrize("named", ["0-16", "-1-1"])
def test_floats_outside_the_range_that_was_given_are_refused(named):
    images = np.full((1, *SHAPE), 40, np.float32)
    with pytest.raises(InputError, match="values from 40 to 40, but .* expects .* .as given"):
        xt.explain(after(), images, ["gradient_input"], input_range=named)
