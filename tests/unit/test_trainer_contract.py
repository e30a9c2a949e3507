"""Our training against ``model.fit`` on the same batches: weights, loss and metrics are Keras'."""

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from xnas_tf.config import load_config
from xnas_tf.data.batches import batching, training_batches
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import RunError
from xnas_tf.evaluation.validator import Validator
from xnas_tf.keras_tools.targets import as_targets, target_form, targets_for
from xnas_tf.training.metrics import metrics_of_all_ranks
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.step import optimizers_of
from xnas_tf.training.trainer import Trainer

SPARSE = "sparse_categorical_crossentropy"
SEED, EPOCHS, BATCH = 5, 3, 18
losses, metrics, optimizers = keras.losses, keras.metrics, keras.optimizers


class Focal(losses.Loss):
    """A user's loss of one-hot vectors."""

    def call(self, y_true, y_pred):
        return -tf.reduce_sum(y_true * (1 - y_pred) ** 2 * tf.math.log(y_pred + 1e-6), axis=-1)


class Plain(losses.Loss):
    """A user's loss of class numbers."""

    def call(self, y_true, y_pred):
        numbers = tf.cast(tf.reshape(y_true, (-1,)), tf.int32)
        return -tf.math.log(tf.gather(y_pred, numbers, batch_dims=1) + 1e-6)


class OwnStep(keras.Model):
    """Trains as Keras' guide on custom training steps does, with a metric of its own."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = 2 * self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"twice": loss}


class GuideStep(keras.Model):
    """Returns its metrics as Keras' guide does."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class Hits(metrics.Metric):
    """Returns a variable as its result, as an example of Keras' documentation does."""

    def __init__(self):
        super().__init__(name="hits")
        self.hits = self.add_variable((), "zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        numbers = tf.cast(tf.reshape(y_true, (-1,)), tf.int64)
        found = tf.cast(tf.argmax(y_pred, axis=-1) == numbers, tf.float32)
        self.hits.assign_add(tf.reduce_sum(found))

    def result(self):
        return self.hits


class OwnTest(keras.Model):
    """Changes what is tested, and the loss."""

    def test_step(self, data):
        return {**super().test_step(data), "constant": tf.constant(0.25)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, y, y_pred, sample_weight) + 0.1 * tf.reduce_mean(x)


class Halving(optimizers.SGD):
    """Changes the weights at the end of the training, as an average of its own would."""

    def finalize_variable_values(self, var_list):
        for variable in var_list:
            variable.assign(variable / 2)


@dataclass
class Case:
    """A way to compile a model."""

    optimizer: Any = "sgd"
    loss: Any = SPARSE
    metrics: Any = field(default_factory=lambda: ["accuracy"])
    policy: str = "float32"
    head: str | None = "softmax"
    kind: Any = keras.Model
    options: dict = field(default_factory=dict)
    classes: int = 3
    exact: bool = True
    run_eagerly: bool = False

    def build(self) -> keras.Model:
        keras.utils.set_random_seed(3)
        inputs = keras.Input((8, 8, 1))
        dense = functools.partial(keras.layers.Dense, **self.options)
        x = keras.layers.Conv2D(4, 3, activation="tanh", dtype=self.policy)(inputs)
        x = dense(5, activation="tanh", dtype=self.policy)(keras.layers.Flatten()(x))
        units = 1 if self.classes == 2 else self.classes
        outputs = dense(units, activation=self.head, name="head", dtype="float32")(x)
        model = self.kind(inputs, outputs)
        if self.policy == "mixed_float16":
            model.dtype_policy = keras.DTypePolicy(self.policy)
        optimizer = self.optimizer() if callable(self.optimizer) else self.optimizer
        made = self.metrics() if callable(self.metrics) else self.metrics
        model.compile(optimizer, self.loss, metrics=made, run_eagerly=self.run_eagerly)
        return model

    def data(self):
        return make_dataset(classes=self.classes)


def onehot_metrics():
    return [
        "accuracy",
        metrics.AUC(name="auc"),
        metrics.F1Score(name="f1"),
        metrics.Precision(name="p"),
    ]


CASES = {
    "momentum": Case(lambda: optimizers.SGD(0.05, 0.9, nesterov=True)),
    "adam": Case("adam"),
    "adamw": Case(lambda: optimizers.AdamW(0.01, weight_decay=0.1)),
    "schedule": Case(lambda: optimizers.RMSprop(optimizers.schedules.CosineDecay(0.01, 9))),
    "clipnorm": Case(lambda: optimizers.SGD(0.5, clipnorm=0.05)),
    "global clipnorm": Case(lambda: optimizers.Adam(0.01, global_clipnorm=0.05)),
    "ema": Case(lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)),
    "ema overwrites": Case(
        lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=4)
    ),
    "own final values": Case(lambda: Halving(0.1)),
    "accumulation": Case(lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2)),
    "loss scale": Case(lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1), 2.0**14)),
    "scale factor": Case(lambda: optimizers.SGD(0.1, loss_scale_factor=64)),
    "mixed_bfloat16": Case(policy="mixed_bfloat16", exact=False),
    "mixed_float16": Case(lambda: optimizers.SGD(0.1), policy="mixed_float16", exact=False),
    "list": Case(loss=[SPARSE]),
    "dict": Case(loss={"head": SPARSE}),
    "partial": Case(loss=functools.partial(losses.sparse_categorical_crossentropy)),
    "lambda": Case(loss=lambda y, p: losses.sparse_categorical_crossentropy(y, p)),
    "lambda of vectors": Case(loss=lambda y, p: tf.reduce_mean((y - p) ** 2, axis=-1)),
    "own loss": Case(loss=Focal(), metrics=onehot_metrics),
    "own loss of numbers": Case(loss=Plain()),
    "smoothing": Case(
        loss=losses.CategoricalCrossentropy(label_smoothing=0.1), metrics=onehot_metrics
    ),
    "logits": Case(
        loss=losses.CategoricalCrossentropy(from_logits=True),
        head=None,
        metrics=lambda: ["accuracy", metrics.AUC(from_logits=True, name="auc"), "mse"],
    ),
    "sigmoids": Case(loss="binary_crossentropy", head="sigmoid", metrics=onehot_metrics),
    "one sigmoid": Case(
        loss="binary_crossentropy",
        head="sigmoid",
        metrics=lambda: ["accuracy", metrics.AUC(name="auc"), metrics.Precision(name="p")],
        classes=2,
    ),
    "one logit": Case(
        loss=losses.BinaryCrossentropy(from_logits=True),
        head=None,
        metrics=lambda: [
            metrics.BinaryAccuracy(threshold=0),
            metrics.AUC(from_logits=True, name="auc"),
        ],
        classes=2,
    ),
    "own loss of a column": Case(
        loss=lambda y, p: tf.reduce_mean((y - p) ** 2, axis=-1), head="sigmoid", classes=2
    ),
    "no metrics": Case(metrics=None),
    "regularizers": Case(options={"kernel_regularizer": "l2", "activity_regularizer": "l1"}),
    "own train_step": Case(kind=OwnStep, metrics=None),
    "train_step of the guide": Case(kind=GuideStep),
    "own metric": Case(metrics=lambda: [Hits()]),
    "own test_step": Case(kind=OwnTest),
}


def batches(model, data) -> tf.data.Dataset:
    """The batches of our training, one after the other, for ``fit``."""
    images, targets, form = [], [], target_form(model, data.classes)
    for epoch in range(EPOCHS):
        arguments = data, BATCH, config().training.augmentation, SEED, epoch
        for batch in training_batches(*arguments):
            images.append(batch.images.astype(np.float32) / 255)
            targets.append(np.asarray(as_targets(batch.labels, form, data.classes)))
    return tf.data.Dataset.from_tensor_slices((np.array(images), np.array(targets)))


def config():
    return load_config(overrides=[f"training={{epochs: {EPOCHS}, batch_size: {BATCH}}}"])


def by_fit(case, data):
    model = case.build()
    model.run_eagerly = True  # quicker than to trace so few steps
    images = data.validation.images.astype(np.float32) / 255
    validation = images, targets_for(model, data.validation.labels, data.classes)
    steps = batching(len(data.train), BATCH)[1]
    options = {"epochs": EPOCHS, "steps_per_epoch": steps, "validation_data": validation}
    history = model.fit(batches(model, data), verbose=0, **options).history
    last = model.evaluate(*validation, verbose=0, return_dict=True)
    return model, history, last


def by_us(model, data, communicator=None):
    communicator = communicator or SingleProcess()
    trainer = Trainer(model, data, config().training, communicator, SEED)
    validator = Validator(config(), data, communicator)
    predictor = Predictor(model, len(data.validation), EPOCHS + 1)
    history = []
    for epoch in range(EPOCHS):
        history.append(trainer.run_epoch() | validator.validate(model, predictor, epoch))
    trainer.finish()
    return history, validator.validate(model, predictor, EPOCHS)


def check(model, history, last, expected, rtol):
    fitted, logs, evaluated = expected
    for found, wanted in zip(model.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)
    for name, values in logs.items():
        if np.ndim(values) > 1:  # one value for each class
            columns = {f"{name}_{i}": column for i, column in enumerate(np.transpose(values))}
        else:
            columns = {name: values}
        for column, wanted in columns.items():
            # Our val_accuracy is of the most probable class, whatever the loss. fit shows the value
            # after the validation of a metric that returns a variable.
            if column not in ("val_accuracy", "hits"):
                found = [epoch[column] for epoch in history]
                np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol, err_msg=column)
    assert last["val_loss"] == pytest.approx(float(evaluated["loss"]), rel=10 * rtol)


def cases(traced, eager):
    """All cases, of which ``bin/test`` runs one that is traced, and one that is quicker eagerly."""
    others = ((name, False) for name in CASES if name != traced)
    return [(traced, False), (eager, True), *left_to_all(*others)]


@pytest.mark.parametrize(("name", "run_eagerly"), cases("ema", "own loss of numbers"))
def test_one_rank_trains_as_fit_does(name, run_eagerly):
    case = replace(CASES[name], run_eagerly=run_eagerly)
    model, data = case.build(), case.data()
    history, last = by_us(model, data)
    check(model, history, last, by_fit(case, data), 1e-5 if case.exact else 2e-2)


@pytest.mark.parametrize(("name", "run_eagerly"), cases("mixed_float16", "own train_step"))
def test_two_ranks_train_as_fit_does(name, run_eagerly):
    if name == "own metric":
        pytest.skip("of a metric that is not Keras' own, ranks give the mean")
    case = replace(CASES[name], run_eagerly=run_eagerly)
    data = case.data()
    models = [case.build() for _ in range(2)]
    found = on_ranks(2, lambda ranks: by_us(models[ranks.rank], data, ranks))
    expected = by_fit(case, data)
    for model, (history, last) in zip(models, found, strict=True):
        check(model, history, last, expected, 1e-4 if case.exact else 3e-2)


class Scripted(keras.callbacks.Callback):
    """Gives the validation accuracies that decide."""

    ACCURACIES = (0.3, 0.9, 0.5)

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.ACCURACIES[epoch]


@pytest.mark.parametrize("name", left_to_all("momentum", "ema", "adam", "own train_step"))
def test_the_best_epoch_is_kept_as_by_early_stopping(name):
    """As Keras' callback with ``restore_best_weights``, which moving averages do not overwrite."""
    data, training = make_dataset(), config().training.model_copy(update={"keep": "best"})
    fitted, model = CASES[name].build(), CASES[name].build()
    fitted.run_eagerly = True
    images = data.validation.images.astype(np.float32) / 255
    stopping = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=EPOCHS, mode="max", restore_best_weights=True
    )
    fitted.fit(
        batches(fitted, data),
        epochs=EPOCHS,
        steps_per_epoch=batching(len(data.train), BATCH)[1],
        validation_data=(images, targets_for(model, data.validation.labels, 3)),
        callbacks=[Scripted(), stopping],
        verbose=0,
    )
    trainer = Trainer(model, data, training, SingleProcess(), SEED)
    history = []
    for accuracy in Scripted.ACCURACIES:
        history.append(trainer.run_epoch() | {"val_accuracy": accuracy, "val_loss": 1.0})
        trainer.end_epoch(history)
    assert trainer.finish() and trainer.best.epoch == 2
    for found, wanted in zip(model.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size"),
    [("momentum", 1), *left_to_all(("one sigmoid", 3), ("smoothing", 1), ("momentum", 3))],
)
def test_the_loss_of_probabilities_that_round_to_0_is_that_of_evaluate(name, size):
    """Keras computes it from the logits, so that a sure mistake costs more than -log(1e-7)."""
    case = CASES[name]
    data, models = case.data(), [case.build() for _ in range(size)]
    for model in models:
        model.layers[-1].kernel.assign(300 * model.layers[-1].kernel)
    images, labels = data.validation.images, data.validation.labels
    targets = targets_for(models[0], labels, data.classes)
    wanted = models[0].evaluate(images / np.float32(255), targets, verbose=0, return_dict=True)
    assert wanted["loss"] > 16.2

    def found(ranks):
        model = models[ranks.rank]
        return Validator(config(), data, ranks).validate(model, Predictor(model), 1)["val_loss"]

    for loss in on_ranks(size, found):
        assert loss == pytest.approx(wanted["loss"], rel=1e-4)


class Unequal(keras.Model):
    """Changes weights in a way that differs between ranks."""

    def train_step(self, data):
        x, _ = data
        self.trainable_variables[0].assign_add(0 * self.trainable_variables[0] + tf.reduce_mean(x))
        return {"loss": tf.constant(1.0)}


def test_a_train_step_that_lets_ranks_drift_apart_is_refused():
    models = [Case(kind=Unequal).build() for _ in range(2)]

    def refused(ranks):
        with pytest.raises(RunError, match="gives each rank different weights"):
            by_us(models[ranks.rank], make_dataset(), ranks)

    on_ranks(2, refused)


def test_a_sum_over_images_is_refused_on_several_ranks():
    loss = losses.SparseCategoricalCrossentropy(reduction="sum")
    models = [Case(loss=loss).build() for _ in range(2)]

    def refused(ranks):
        with pytest.raises(RunError, match="reduction='sum'"):
            by_us(models[ranks.rank], make_dataset(), ranks)

    on_ranks(2, refused)


class Mean(metrics.Mean):
    """A user's metric, whose name is how one of Keras' begins."""

    def __init__(self):
        super().__init__(name="acc")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(tf.reduce_max(y_pred))


def test_the_name_of_a_metric_takes_no_other_for_a_users():
    """Ranks of 1 and 2 images: Keras' metric is summed, a user's is a mean over the images."""
    made = lambda: [Mean(), metrics.TruePositives(name="accepted")]  # noqa: E731
    models = [Case(loss="categorical_crossentropy", metrics=made).build() for _ in range(2)]

    def combined(ranks):
        model, count = models[ranks.rank], ranks.rank + 1
        targets, outputs = np.eye(3)[np.zeros(count, int)], np.eye(3)[:count]
        logs = model.compute_metrics(None, targets, outputs)
        return metrics_of_all_ranks(model, logs, count, ranks)

    for found in on_ranks(2, combined):
        assert (found["accepted"], found["acc"]) == (2, 1)


def test_optimizers_are_found_among_the_attributes():
    inputs = keras.Input((2,))
    model = OwnStep(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    model.others = [optimizers.Adam(), {"deep": 1}]
    model.named = {"third": optimizers.SGD()}
    assert len(optimizers_of(model)) == 3
