import keras
import numpy as np
import pytest
from keras import layers

import xnas_tf as xt
from tests.conftest import left_to_all
from xnas_tf.data import Dataset, Split
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.input_range import CHOICES, declare_range, from_unit, range_of, scaled
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.chance_level import Accuracy, accuracy_of, report_accuracy

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
    with pytest.raises(InputError, match="'0-256' .did you mean '0-255'. allowed: -1-1, 0-1"):
        range_of(model, SHAPE, "0-256")


def test_images_become_what_keras_makes_of_them():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    expected = {"0-1": images / np.float32(255), "0-255": images.astype(np.float32)}
    expected["-1-1"] = applications.mobilenet_v2.preprocess_input(images.astype(np.float32))
    for name in CHOICES[1:]:
        np.testing.assert_array_equal(scaled(images, name), expected[name])
        np.testing.assert_array_equal(from_unit(images / np.float32(255), name), expected[name])


def test_uint8_images_reach_a_model_in_its_range():
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    model = after(layers.Rescaling(1 / 255))
    found = xt.explain(model, images, ["gradient_input"])
    expected = keras.ops.softmax(model(images.astype(np.float32)))
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-4)
    assert found.input_range == "0-255"


def bright(split: float = 127.0):
    """Right about which images are bright, if it gets 0 to 255 with a split of 127."""
    inputs = keras.Input((4, 4, 1))
    x = layers.Dense(2)(layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, x)
    model.layers[-1].set_weights([np.array([[0.0, 1.0]]), np.array([0.0, -split])])
    return model


def part(count=40):
    labels = np.arange(count, dtype=np.int32) % 2
    noise = np.random.default_rng(0).integers(0, 50, (count, 4, 4, 1))
    return Split((noise + 160 * labels[:, None, None, None]).astype(np.uint8), labels)


def test_a_model_at_chance_is_warned_of_with_what_may_be_wrong():
    told: list[str] = []
    model, images = bright(), part()
    taken = range_of(model, (4, 4, 1))
    accuracy = accuracy_of(model, images, taken.name)
    report_accuracy(accuracy, taken, told.append, model, images)
    assert told[0].startswith("accuracy 50.00%: 20 of 40 test images")
    assert told[1].startswith("warning: this is no better than always predicting the most frequent")
    assert "100.00% with 0-255" in told[1] and "`input_range`" in told[1]
    good = accuracy_of(model, images, "0-255")
    assert good == Accuracy(40, 40, 20) and not good.is_chance
    report_accuracy(good, taken, told.append, model, images)
    assert len(told) == 3


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
