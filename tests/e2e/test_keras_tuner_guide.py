"""The calls of KerasTuner's guide "Getting started with KerasTuner", with ``xt.Tuner``.

https://keras.io/guides/keras_tuner/getting_started/ has the same steps with
``keras_tuner.RandomSearch``, on the whole of MNIST.
"""

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import xnas_tf as xt

pytestmark = pytest.mark.long
IMAGES = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        yield


@pytest.fixture(scope="module")
def mnist(folder):
    """Training and validation images (N, 28, 28, 1) as floats in [0, 1], one-hot labels."""
    split = xt.load_dataset("mnist5k").train
    chosen = np.random.default_rng(0).permutation(len(split))[:IMAGES]
    x = split.images[chosen, ..., 0]  # (N, 28, 28), as of keras.datasets.mnist
    x = np.expand_dims(x, -1).astype("float32") / 255.0
    y = keras.utils.to_categorical(split.labels[chosen], 10)
    return (x[:-100], y[:-100]), (x[-100:], y[-100:])


def compiled(model, optimizer="adam"):
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def build_model(hp):
    """As many layers as a hyperparameter says, each with its own number of units."""
    model = keras.Sequential()
    model.add(layers.Flatten())
    for number in range(hp.Int("num_layers", 1, 3)):
        units = hp.Int(f"units_{number}", min_value=32, max_value=512, step=32)
        model.add(layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    return compiled(model, keras.optimizers.Adam(learning_rate=rate))


def test_a_search_from_the_function_to_the_best_model(mnist, capsys):
    (x_train, y_train), (x_val, y_val) = mnist
    tuner = xt.Tuner(
        hypermodel=build_model,
        objective="val_accuracy",
        max_trials=3,
        executions_per_trial=1,
        overwrite=True,
        directory="my_dir",
        project_name="helloworld",
    )
    tuner.search_space_summary()
    assert "units_2: 32, 64" in capsys.readouterr().out
    tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))
    best_model, *others = tuner.get_best_models(num_models=2)
    best_model.summary()
    _, accuracy = best_model.evaluate(x_val, y_val, verbose=0)
    best = max(candidate.metrics["val_accuracy"] for candidate in tuner.run)
    assert accuracy == pytest.approx(best)
    tuner.results_summary()
    assert "Results in my_dir/helloworld" in capsys.readouterr().out
    best_hps = tuner.get_best_hyperparameters(5)
    assert len(best_hps) == 3 and len(others) <= 1
    model = build_model(best_hps[0])
    x_all, y_all = np.concatenate((x_train, x_val)), np.concatenate((y_train, y_val))
    model.fit(x=x_all, y=y_all, epochs=1, verbose=0)
    assert model.count_params() == best_model.count_params()


def test_a_search_with_callbacks_and_class_weights(mnist, tmp_path):
    """As in the documentation of KerasTuner's ``search``."""
    arrays, validation = mnist
    train = tf.data.Dataset.from_tensor_slices(arrays).batch(32)

    def searched(patience):
        named = {"directory": "my_dir", "project_name": "callbacks"}
        tuner = xt.Tuner(build_model, "val_loss", max_trials=1, **named)
        stop = keras.callbacks.EarlyStopping("val_loss", patience=patience, min_delta=9)
        return tuner.search(
            train,
            validation_data=validation,
            epochs=4,
            callbacks=[stop, keras.callbacks.TensorBoard(tmp_path)],
            class_weight={number: 1.0 + number for number in range(10)},
            verbose=0,
        )

    run = searched(patience=1)
    (candidate,) = run
    assert candidate.state == "done" and len(candidate.history) == 2
    assert [*(tmp_path / "candidate-00001" / "train").iterdir()]
    assert run.config.training.class_weight["9"] == 10
    assert [*searched(patience=1)] == [candidate]
    with pytest.raises(xt.InputError, match="patience=1(.|\n)*patience=2(.|\n)*`overwrite`"):
        searched(patience=2)
    assert xt.retrain(run, epochs=1, seeds=1, baseline=False).trainings()[0].state == "done"


class Shuffling(keras_tuner.HyperModel):
    """Tunes its training too."""

    def build(self, hp):
        units = hp.Int("units", min_value=32, max_value=512, step=32)
        hidden = [layers.Flatten(), layers.Dense(units, activation="relu")]
        return compiled(keras.Sequential([*hidden, layers.Dense(10, activation="softmax")]))

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=hp.Boolean("shuffle"), **kwargs)


class Normalizing(Shuffling):
    """Tunes what is done to the data."""

    def fit(self, hp, model, x, y, **kwargs):
        if hp.Boolean("normalize"):
            x = layers.Normalization()(x)
        return model.fit(x, y, shuffle=hp.Boolean("shuffle"), **kwargs)


class OwnLoop(Shuffling):
    """Trains with a loop of its own, and calls the callbacks."""

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(2):
            model.train_on_batch(x, y)
            loss = model.evaluate(*validation_data, verbose=0)[0]
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": float(loss)})
        return float(loss)


@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        (Shuffling, "val_accuracy"),
        (Normalizing, keras_tuner.Objective("val_loss", "min")),
        (OwnLoop, keras_tuner.Objective("my_metric", direction="min")),
    ],
)
def test_a_hypermodel_with_its_own_fit(kind, objective, mnist):
    (x_train, y_train), validation = mnist
    tuner = xt.Tuner(
        kind(),
        objective=objective,
        max_trials=2,
        overwrite=True,
        directory="my_dir",
        project_name=kind.__name__,
    )
    tuner.search(x_train, y_train, epochs=2, validation_data=validation)
    tuner.results_summary()
    best_hp = tuner.get_best_hyperparameters()[0]
    model = tuner.hypermodel.build(best_hp)
    assert model.layers[1].units == best_hp.get("units")
    callbacks = {"callbacks": [], "validation_data": validation} if kind is OwnLoop else {}
    kind().fit(best_hp, model, x_train, y_train, epochs=1, verbose=0, **callbacks)


class CustomMetric(keras.metrics.Metric):
    """The mean squared error, by hand."""

    def __init__(self, **kwargs):
        super().__init__(name="custom_metric", **kwargs)
        self.sum = self.add_weight(name="sum", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.sum.assign_add(keras.ops.sum((y_pred - y_true) ** 2))
        self.count.assign_add(keras.ops.cast(keras.ops.shape(y_true)[0], "float32"))

    def result(self):
        return self.sum / self.count


@pytest.mark.parametrize("name", ["custom_metric", "mean_absolute_error"])
def test_an_objective_of_any_metric(name, mnist):
    def build(hp):
        model = Shuffling().build(hp)
        metric = CustomMetric() if name == "custom_metric" else keras.metrics.MeanAbsoluteError()
        model.compile("adam", "categorical_crossentropy", metrics=[metric])
        return model

    (x_train, y_train), validation = mnist
    objective = keras_tuner.Objective(f"val_{name}", direction="min")
    tuner = xt.Tuner(
        build, objective, max_trials=2, overwrite=True, directory="my_dir", project_name=name
    )
    tuner.search(x_train, y_train, epochs=1, validation_data=validation)
    values = [each.objectives[f"metric:{name}"] for each in tuner.run]
    best_hp = tuner.get_best_hyperparameters()[0]
    (best,) = [each for each in tuner.run if each.objectives[f"metric:{name}"] == min(values)]
    assert best_hp.values == best.hyperparameters


def regressor(hp):
    model = keras.Sequential([layers.Dense(hp.Int("units", 32, 128, 32)), layers.Dense(1)])
    model.compile("adam", "mean_squared_error", metrics=[keras.metrics.MeanAbsoluteError()])
    return model


class Cropping(Shuffling):
    """Builds networks for images of other sizes than those of the data."""

    def build(self, hp):
        size = hp.Int("image_size", 10, 28)
        inputs = keras.Input((size, size))
        outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(inputs))
        return compiled(keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda *_: xt.Tuner(build_model, "val_accuracy", executions_per_trial=2),
            "`executions_per_trial`: given 2.*xt.retrain",
        ),
        (
            lambda *_: xt.Tuner(regressor, "val_loss", directory="my_dir").search(
                np.random.rand(100, 10), np.random.rand(100, 1)
            ),
            r"`x`: images have shape \(100, 10\); allowed: \(N, height, width\)",
        ),
        (
            lambda x, y: xt.Tuner(Cropping(), "val_accuracy", directory="my_dir").search(x, y),
            r"takes \(None, 10, 10\), but the images are \(None, 28, 28, 1\)",
        ),
        (
            lambda x, y: xt.Tuner(Shuffling(), directory="my_dir").search(x, y),
            "introspectability: .*choose methods that do not need them",
        ),
    ],
    ids=["executions", "regression", "sizes", "convolutions"],
)
def test_what_the_guide_does_that_has_no_equivalent_is_said(call, message, mnist):
    with pytest.raises(xt.InputError, match=message):
        call(*mnist[0])
