"""Given models are explained at the accuracy that plain Keras has, whatever values they take."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from sklearn.datasets import load_digits

import xnas_tf as xt
from tests.conftest import left_to_all
from xnas_tf.cli import main

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Digits as large as MobileNetV3 wants them, in colour, as a file and as a data set."""
    digits = load_digits()
    kept = digits.target < 4
    images = np.kron(digits.images[kept][:360] * 15, np.ones((1, 4, 4)))[..., None]
    file = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(file, x=np.tile(images, 3).astype(np.uint8), y=digits.target[kept][:360])
    return f"npz:{file}", xt.load_dataset(f"npz:{file}")


def rescaled(images):
    return layers.Rescaling(1 / 255)


def normalized(images):
    layer = layers.Normalization()
    layer.adapt(images)
    return layer


def small(first, images, labels):
    """A small network, trained a little by Keras."""
    keras.utils.set_random_seed(0)
    before = [first(images)] if first else []
    ends = [layers.Conv2D(8, 4, 4, activation="relu"), layers.Flatten(), layers.Dense(4)]
    model = keras.Sequential([keras.Input(SHAPE), *before, *ends])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(images, labels, epochs=4, verbose=0)
    return model


def mobile_net(_, images, labels):
    """MobileNetV3 of random weights, whose last layer is fitted."""
    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNetV3Small(
        SHAPE, 0.35, weights=None, include_top=False, pooling="avg"
    )
    features = base.predict(images, verbose=0).reshape(len(images), -1)
    offset, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    targets = 20 * np.eye(4)[labels]  # logits of a confident model
    kernel = np.linalg.lstsq((features - offset) / scale, targets, rcond=1e-3)[0]
    end = layers.Dense(4)
    model = keras.Sequential([keras.Input(SHAPE), base, layers.Flatten(), end])
    end.set_weights([kernel / scale[:, None], -(offset / scale) @ kernel])
    return model


MODELS = {
    "plain": (small, None, "0-1", 1 / 255),
    "rescaling": (small, rescaled, "0-255", 1),
    "normalization": (small, normalized, "0-1", 1 / 255),
    "normalization-255": (small, normalized, "0-255", 1),
    "mobile-net": (mobile_net, None, "0-255", 1),
}
RESCALED = "normalization-255"


@pytest.mark.parametrize("name", [RESCALED, *left_to_all(*(n for n in MODELS if n != RESCALED))])
def test_it_is_explained_at_the_accuracy_that_keras_has(name, data, tmp_path):
    make, first, wanted, scale = MODELS[name]
    given, dataset = data
    inputs = {part: np.float32(scale) * np.float32(p.images) for part, p in dataset.parts.items()}
    model = make(first, inputs["train"], dataset.train.labels)
    model.save(tmp_path / "model.keras")
    predicted = model.predict(inputs["test"], verbose=0).argmax(axis=1)
    words = ["explain", str(tmp_path / "model.keras"), "--dataset", given, "--count", "1"]
    words += ["--method", "gradient_input", "--format", "json", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["input_range"] == wanted
    accuracy, right = found["accuracy"], int((predicted == dataset.test.labels).sum())
    assert (accuracy["correct"], accuracy["images"]) == (right, len(dataset.test))
    assert accuracy["value"] > 0.6 and not accuracy["at_chance"]
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"input range {wanted}: ") and "warning" not in done.stderr
    assert lines[1].startswith(f"accuracy {right / len(predicted):.2%}: {right} of")


def test_the_wrong_range_is_warned_of_in_red(data, tmp_path):
    given, dataset = data
    inputs = np.float32(dataset.train.images)
    small(normalized, inputs, dataset.train.labels).save(tmp_path / "model.keras")
    words = ["explain", str(tmp_path / "model.keras"), "--dataset", given, "--count", "1"]
    words += ["--method", "gradient_input", "--input-range", "0-1", "--out", str(tmp_path / "out")]
    done = CliRunner(env={"FORCE_COLOR": "1", "COLUMNS": "300"}).invoke(main, words)
    assert done.exit_code == 0, done.output
    red = next(line for line in done.stderr.splitlines() if "\x1b[31m" in line)
    assert "no better than always predicting" in red and "--input-range" in red


@pytest.mark.parametrize("command", ["explain", "disentangle", "interpret"])
def test_a_range_that_does_not_exist_is_named(command, data, tmp_path):
    after = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(1, 9), layers.Flatten()])
    keras.Sequential([after, layers.Dense(4)]).save(tmp_path / "model.keras")
    words = [command, str(tmp_path / "model.keras"), "--dataset", data[0]]
    done = CliRunner().invoke(
        main, [*words, "--input-range", "0:255", "--out", str(tmp_path / "o")]
    )
    assert done.exit_code == 2
    assert "--input-range: no range is called '0:255' (did you mean '0-255'?" in done.stderr


def test_a_model_of_digits_from_0_to_16_gets_its_range(tmp_path):
    """With the wrong range it is accurate but unsure, which is warned of."""
    digits = load_digits()
    images, labels = np.float32(digits.images)[..., None], digits.target
    np.savez(tmp_path / "mine.npz", x=images, y=labels)
    keras.utils.set_random_seed(0)
    ends = [layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *ends])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=6, verbose=0)
    model.save(tmp_path / "model.keras")
    words = ["explain", str(tmp_path / "model.keras"), "--dataset", f"npz:{tmp_path / 'mine.npz'}"]
    words += ["--method", "gradient_input", "--count", "1", "--format", "json"]
    found = {}
    for name in ("auto", "0-16"):
        out = str(tmp_path / name)
        done = CliRunner().invoke(main, [*words, "--input-range", name, "--out", out])
        assert done.exit_code == 0, done.output
        found[name] = json.loads(done.stdout)["accuracy"], done.stderr
    (unsure, warned), (sure, quiet) = found["auto"], found["0-16"]
    assert unsure["low_confidence"] and unsure["mean_confidence"] < 0.5
    assert "warning: the mean probability of the predicted classes is only" in warned
    best = f"0-16: accuracy {sure['value']:.2%}, mean probability {sure['mean_confidence']:.1%}"
    assert best in warned and sure["mean_confidence"] > 0.85 and "warning" not in quiet
    assert "predicted classes is only" in (tmp_path / "auto" / "index.html").read_text()
    assert "predicted classes is only" not in (tmp_path / "0-16" / "index.html").read_text()
