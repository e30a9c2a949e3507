"""Heads of models: one sigmoid or logit for two classes, and what is refused before training."""

import functools

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import xnas_tf as xt
from tests.conftest import left_to_all
from tests.datasets import make_dataset
from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.interpretation.flint import Interpreter
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork
from xnas_tf.keras_tools.input_range import declare_range
from xnas_tf.keras_tools.inspection import ending_of, sums_to_one
from xnas_tf.keras_tools.targets import build_metrics, check_head, compile_head, takes_logits
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.class_predictions import predictions
from xnas_tf.training.predictor import Predictor

SHAPE = (8, 8, 1)
losses, layers = keras.losses, keras.layers
FROM_LOGITS = losses.BinaryCrossentropy(from_logits=True)


class Head(keras_tuner.HyperModel):
    """A small network that ends in some units."""

    def __init__(self, units, activation, loss=None, dtype=None):
        super().__init__()
        self.units, self.activation, self.loss, self.dtype = units, activation, loss, dtype

    def build(self, hp):
        inputs = keras.Input(SHAPE, dtype=self.dtype)
        x = layers.Conv2D(hp.Int("filters", 3, 5), 3, activation="relu")(inputs)
        x = layers.Dense(self.units, activation=self.activation)(layers.Flatten()(x))
        model = keras.Model(inputs, x)
        if self.loss is not None:
            optimizer = keras.optimizers.Adam(0.01)
            model.compile(optimizer, self.loss, metrics=[keras.metrics.TruePositives(name="tp")])
        return model


def evaluate(hypermodel, *objectives):
    """Train and score a model of two classes; return the result and the model."""
    words = ["training={epochs: 4, batch_size: 10}", f"objectives=[{', '.join(objectives)}]"]
    space, kept = SearchSpace(hypermodel, SHAPE, 2), []
    evaluator = Evaluator(
        load_config(overrides=words), make_dataset(classes=2), space, SingleProcess()
    )
    candidate = Candidate(1, "g", {"filters": 4}, seed=1, epochs=4)
    result = evaluator.evaluate(candidate, lambda _, model: kept.append(model))
    assert result.state == "done", result.reason
    return result, kept[0]


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("sigmoid", "binary_crossentropy"),
        *left_to_all((None, None), ("sigmoid", None), (None, FROM_LOGITS)),
    ],
)
def test_a_single_output_is_trained_and_measured_as_two_classes(activation, loss):
    result, model = evaluate(Head(1, activation, loss), "error", "introspectability")
    part = make_dataset(classes=2).validation
    outputs = np.asarray(model(part.images / np.float32(255)))[:, 0]
    second = outputs if activation else 1 / (1 + np.exp(-outputs))
    right = np.where(part.labels == 1, second, 1 - second)
    assert result.metrics["val_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-3, abs=1e-6)
    assert result.metrics["val_accuracy"] == np.mean(right > 0.5) > 0.9
    assert result.objectives["error"] == pytest.approx(np.mean(right <= 0.5))
    if loss is not None:
        positives = ((outputs > 0.5) & (part.labels == 1)).sum()
        assert result.metrics["val_tp"] == positives
    assert 0 < result.objectives["introspectability"]


def twins(activation):
    """A network that ends in one output, and one of two logits that computes the same."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, activation="relu")(x))
    one = keras.Model(inputs, layers.Dense(1, activation)(x))
    two = keras.Model(inputs, layers.Dense(2)(x))
    one.layers[-1].kernel.assign(10 * one.layers[-1].kernel)
    kernel, bias = one.layers[-1].get_weights()
    two.layers[-1].set_weights([kernel * [[0, 1]], np.array([0, bias[0]])])
    return [declare_range(model) for model in (one, two)]


QUESTIONS = {
    "Predictor": lambda model, part: Predictor(model)(part.images),
    "probabilities_of": lambda model, part: probabilities_of(model, part.images / np.float32(255)),
    "accuracy": lambda model, part: (predictions(model, part, "0-1").classes == part.labels).mean(),
    "masked": lambda model, part: MaskedNetwork(model, part.images).predict(part.images),
    "interpreter": lambda model, part: keras.ops.softmax(
        Interpreter(model, 3).look(tf.constant(part.images / np.float32(255))).predictor
    ),
    "explanation": lambda model, part: xt.explain(model, part.images, ["grad_cam"]).probabilities,
}


@pytest.mark.parametrize(
    ("question", "activation"),
    [*zip(QUESTIONS, ["sigmoid", None] * 3, strict=True)]
    + left_to_all(*zip(QUESTIONS, [None, "sigmoid"] * 3, strict=True)),
)
def test_one_output_says_what_two_logits_say(question, activation):
    part = make_dataset(classes=2).validation
    found, wanted = (np.asarray(QUESTIONS[question](m, part)) for m in twins(activation))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    if found.ndim:
        assert found.shape == (len(part), 2) and 0 < found[:, 1].argmax() and found.std() > 0.01


def test_the_maps_of_both_classes_of_one_output_are_opposite():
    one, _ = twins("sigmoid")
    images = make_dataset(classes=2).validation.images[:3]
    first, second = (
        next(iter(xt.explain(one, images, ["gradient_input"], targets=c).maps.values()))
        for c in (0, 1)
    )
    np.testing.assert_allclose(first, -second, atol=1e-7)
    assert np.abs(first).max() > 0


def partial(**options):
    return functools.partial(losses.binary_crossentropy, **options)


@pytest.mark.parametrize(
    ("classes", "head", "message"),
    [
        (3, Head(1, "sigmoid", "binary_crossentropy"), "one output, .* but there are 3; end it wi"),
        (2, Head(1, "softmax", "binary_crossentropy"), "a softmax of one output is always 1"),
        (2, Head(1, "sigmoid", "categorical_crossentropy"), "needs one for each class"),
        (2, Head(1, None, "mse"), "neither a sigmoid nor, with mean_squared_error, its logit"),
        (2, Head(1, None, "bce"), "its logit .no from_logits=True.*Dense.1, activation='sigmoid'"),
        (2, Head(1, None, partial()), "its logit"),
        (3, Head(3, "sigmoid", "bce"), "with binary_crossentropy are independent sigmoids"),
        (3, Head(3, "sigmoid"), "outputs are independent sigmoids.*Dense.3, activation='softmax'"),
        (3, Head(3, None, FROM_LOGITS), "with BinaryCrossentropy are independent sigmoids"),
        (3, Head(3, None, "categorical_crossentropy"), "are logits, but categorical_crossentropy"),
        (3, Head(4, "softmax"), r"the model's output is \(None, 4\); wanted: \(None, 3\)"),
        (3, Head(3, "softmax", dtype="uint8"), "input is of type uint8.*write keras.Input.shape"),
    ],
)
def test_a_head_that_does_not_tell_classes_apart_is_refused_before_training(classes, head, message):
    with pytest.raises(InputError, match=message):
        SearchSpace(head, SHAPE, classes)


@pytest.mark.parametrize(
    ("classes", "head"),
    [
        (2, Head(1, None, partial(from_logits=True))),
        (2, Head(1, None, losses.BinaryFocalCrossentropy(from_logits=True))),
        (2, Head(1, None, lambda y, p: tf.nn.sigmoid_cross_entropy_with_logits(y, p))),
        (2, Head(1, "sigmoid", "mse")),
        (2, Head(2, "softmax", "binary_crossentropy")),
        (3, Head(3, None, "mse")),
        (3, Head(3, "softmax", losses.CategoricalCrossentropy(from_logits=True))),
    ],
)
def test_other_heads_are_taken(classes, head):
    check_head(head.build(keras_tuner.HyperParameters()), classes)


@pytest.mark.parametrize("function", [tf.sigmoid, keras.ops.sigmoid, layers.Lambda(tf.sigmoid)])
def test_a_sigmoid_of_tensorflow_is_not_taken_for_a_logit(function):
    model = Head(1, None).build(keras_tuner.HyperParameters())
    if isinstance(function, layers.Layer):
        model = keras.Model(model.input, function(model.output))
    else:
        model.layers[-1].activation = function
    check_head(model, 2)
    compile_head(model, "sgd")
    assert ending_of(model).activation == "sigmoid" and not takes_logits(model.loss)


HIDDEN = {
    "linear": layers.Activation("linear", dtype="float32"),
    "flatten": lambda x: layers.Flatten()(layers.Reshape((1, 1))(x)),
    "operation": lambda x: keras.ops.squeeze(x[:, None], 1),
    "pooling": lambda x: layers.GlobalAveragePooling2D()(layers.Reshape((1, 1, -1))(x)),
    "nested": lambda x: keras.Sequential([layers.Dense(1, "sigmoid"), layers.Flatten()])(x),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_hidden_sigmoid_is_refused_by_a_search_and_found_when_a_model_is_explained(kind):
    """Such a model, taken for one of logits, predicts the second class for every image."""
    part = make_dataset(classes=2).validation
    inputs = keras.Input(SHAPE)
    units = keras.initializers.RandomNormal(stddev=0.5, seed=0)
    x = layers.Dense(1, "sigmoid", kernel_initializer=units)(layers.Flatten()(inputs))
    model = declare_range(keras.Model(inputs, HIDDEN[kind](x)))
    with pytest.raises(InputError, match="sigmoid is followed by .*Dense.1, activation='sigm"):
        check_head(model, 2)
    second = np.asarray(model(part.images / np.float32(255)))[:, 0]
    found = predictions(model, part, "0-1")
    np.testing.assert_allclose(found.confidence, np.maximum(second, 1 - second), atol=1e-6)
    np.testing.assert_array_equal(found.classes, second > 0.5)


@keras.saving.register_keras_serializable("heads")
class Normalized(layers.Layer):
    """A softmax that is not recognised."""

    def call(self, x):
        return tf.nn.softmax(x)


def test_probabilities_of_another_layer_fail_also_in_a_candidate_that_is_not_the_default():
    """They would be taken for logits."""

    class Either(Head):
        def build(self, hp):
            model = super().build(hp)
            is_hidden = hp.Boolean("hidden")
            end = Normalized() if is_hidden else layers.Softmax()
            return keras.Model(model.inputs, end(model.outputs[0]))

    words = ["training={epochs: 1, batch_size: 30}", "objectives=[error]"]
    space = SearchSpace(Either(2, None), SHAPE, 2)
    evaluator = Evaluator(
        load_config(overrides=words), make_dataset(classes=2), space, SingleProcess()
    )
    for hidden, state in ((False, "done"), (True, "failed")):
        values = {"filters": 4, "hidden": hidden}
        result = evaluator.evaluate(Candidate(1, "g", values, seed=1, epochs=1))
        assert result.state == state
    assert "its last layer is not a softmax" in result.reason


def test_independent_sigmoids_are_not_interpreted():
    model = Head(3, "sigmoid").build(keras_tuner.HyperParameters())
    with pytest.raises(InputError, match="independent sigmoids"):
        MaskedNetwork(model, make_dataset().validation.images)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_probabilities_are_recognised_up_to_rounding(dtype):
    logits = np.random.default_rng(0).normal(0, 3, (200, 7))
    assert sums_to_one(tf.nn.softmax(tf.cast(logits, dtype)))
    assert not sums_to_one(tf.cast(logits, dtype))


@pytest.mark.parametrize(
    ("loss", "metric", "form"),
    [
        ("categorical_crossentropy", "sparse_categorical_accuracy", "one-hot vectors"),
        ("sparse_categorical_crossentropy", keras.metrics.AUC, "class numbers"),
    ],
)
def test_metrics_that_do_not_take_the_targets_of_the_loss_are_refused(loss, metric, form):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", loss, metrics=[metric if isinstance(metric, str) else metric()])
    with pytest.raises(InputError, match=f"its metrics cannot be computed from {form}"):
        build_metrics(model, 3)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("crosentropy", "Could not interpret loss identifier: crosentropy"),
        ({"wrong": "categorical_crossentropy"}, r"found loss.keys\(\)=\['wrong'\]"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_loss_that_fails_is_named_before_the_search(loss, message):
    with pytest.raises(InputError, match=f"cannot build its default model: .*{message}"):
        SearchSpace(Head(3, "softmax", loss), SHAPE, 3)
