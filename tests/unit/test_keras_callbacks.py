"""Keras callbacks and class weights of a training, against ``fit`` on the same batches."""

from functools import partial
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import callbacks as kc

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.unit.test_own_training import Fitting, Plain, evaluate
from tests.unit.test_trainer_contract import BATCH, EPOCHS, SEED, Case, batches
from xnas_tf.config import load_config
from xnas_tf.data.batches import batching
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError, RunError
from xnas_tf.evaluation.validator import Validator
from xnas_tf.execution.preparation import ignored_options
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.registry import OBJECTS
from xnas_tf.retraining.job import notes
from xnas_tf.training.compilation import class_weights
from xnas_tf.training.keras_callbacks import (
    new_callbacks,
    register_callbacks,
    uncalled_hooks,
)
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.trainer import Trainer

WEIGHTS = {0: 5.0, 2: 0.25}
HOOKS = [
    f"on_{what}_{when}" for what in ("train", "epoch", "train_batch") for when in ("begin", "end")
]


class Noting(kc.Callback):
    """Notes each call of a hook, with its numbers."""

    def __init__(self):
        super().__init__()
        self.calls = []
        for hook in HOOKS:
            setattr(self, hook, lambda *given, hook=hook, **more: self.note(hook, *given, **more))

    def note(self, hook, *given, logs=None):
        *number, logs = given if given and not isinstance(given[-1], int) else (*given, logs)
        shown = {name: round(float(value), 4) for name, value in (logs or {}).items()}
        self.calls.append((hook, *number, shown, bool(self.model), dict(self.params)))


class StopAt(kc.Callback):
    """Stops after a batch of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 1 and self.model.optimizer.iterations > 4


KINDS = {
    "rate": lambda: [kc.ReduceLROnPlateau("val_loss", 0.1, patience=0, min_delta=9)],
    "schedule": lambda: [kc.LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1))],
    "stop": lambda: [kc.EarlyStopping(patience=1, min_delta=9, restore_best_weights=True)],
    "batch": lambda: [StopAt()],
}


def config(*more):
    return load_config(
        overrides=[f"training={{epochs: {EPOCHS}, batch_size: {BATCH}}}", "space=vgg_like", *more]
    )


def by_fit(case, data, made, **options):
    model = case.build()
    model.run_eagerly = True  # quicker than to trace so few steps
    images = data.validation.images.astype(np.float32) / 255
    validation = images, targets_for(model, data.validation.labels, data.classes)
    steps = batching(len(data.train), BATCH)[1]
    options |= {"epochs": EPOCHS, "steps_per_epoch": steps, "validation_data": validation}
    model.fit(batches(model, data), verbose=0, callbacks=made, **options)
    return model


def by_us(model, data, made, settings, communicator=None):
    """Train as ``Evaluator`` does."""
    communicator = communicator or SingleProcess()
    trainer = Trainer(model, data, settings.training, communicator, SEED, None, None, 0, made)
    validator = Validator(settings, data, communicator)
    predictor = Predictor(model, len(data.validation), EPOCHS)
    history = trainer.progress.history
    while (epoch := trainer.progress.epoch) < EPOCHS:
        history.append(trainer.run_epoch() | validator.validate(model, predictor, epoch))
        if trainer.end_epoch(history):
            break
    trainer.finish()
    return model, history


def check_same(found, wanted):
    for ours, theirs in zip(found.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["stop", *left_to_all("rate", "schedule", "batch")])
def test_callbacks_are_called_as_fit_calls_them(kind):
    case, data = Case("adam"), make_dataset()
    notes, expected = Noting(), Noting()
    wanted = by_fit(case, data, [*KINDS[kind](), expected])
    found, history = by_us(case.build(), data, [*KINDS[kind](), notes], config())
    check_same(found, wanted)
    assert float(found.optimizer.learning_rate) == float(wanted.optimizer.learning_rate)
    assert [call[:-3] for call in notes.calls] == [call[:-3] for call in expected.calls]
    for (*_, ours, has_model, parameters), (*_, theirs, _, keras_parameters) in zip(
        notes.calls, expected.calls, strict=True
    ):
        assert ours == pytest.approx(theirs, abs=2e-4) and has_model
        assert parameters == keras_parameters
    assert len(history) == (EPOCHS if kind in ("rate", "schedule") else 2)


def test_a_callback_that_stops_one_rank_stops_all():
    class StopOne(kc.Callback):
        def __init__(self, rank):
            super().__init__()
            self.rank = rank

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = self.rank == 1

    def work(communicator):
        made = [StopOne(communicator.rank)]
        model = Case("adam", run_eagerly=True).build()  # quicker than to trace one epoch
        return by_us(model, make_dataset(), made, config(), communicator)[1]

    assert [len(history) for history in on_ranks(2, work)] == [1, 1]


class RateOfLoss(kc.Callback):
    """Follows the loss of each batch, of which each rank has another share."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.01 * float(logs["loss"])


class NoiseAtTheEnd(kc.Callback):
    def on_train_end(self, logs=None):
        kernel = self.model.trainable_variables[0]
        kernel.assign(np.random.default_rng().normal(size=kernel.shape))


@pytest.mark.parametrize("kind", [RateOfLoss, NoiseAtTheEnd])
def test_a_callback_that_lets_ranks_drift_apart_is_refused(kind):
    def refused(communicator):
        model = Case("adam", run_eagerly=True).build()
        with pytest.raises(RunError, match="different weights: .*callbacks must do the same"):
            by_us(model, make_dataset(), [kind()], config(), communicator)

    on_ranks(2, refused)


@pytest.mark.parametrize(
    "case",
    [
        Case("adam", "categorical_crossentropy", run_eagerly=True),
        *left_to_all(
            Case("adam", "categorical_crossentropy"),
            Case("adam"),
            Case("adam", "mse", head="relu"),
        ),
    ],
    ids=["vectors, eagerly", "vectors", "numbers", "mse"],
)
def test_class_weights_are_those_of_fit(case):
    data = make_dataset()
    weights = f"training.class_weight={{class 0: 5, '2': {WEIGHTS[2]}}}"
    found, _ = by_us(case.build(), data, (), config(weights))
    check_same(found, by_fit(case, data, [], class_weight=WEIGHTS))
    plain, _ = by_us(case.build(), data, (), config())
    assert not np.allclose(plain.get_weights()[0], found.get_weights()[0])


@pytest.mark.long
def test_class_weights_are_the_same_on_several_ranks():
    data, settings = make_dataset(), config("training.class_weight={0: 5, 2: 0.25}")
    alone, _ = by_us(Case("sgd").build(), data, (), settings)
    models = [Case("sgd").build() for _ in range(2)]  # here, as ranks are threads in tests
    on_ranks(2, lambda ranks: by_us(models[ranks.rank], data, (), settings, ranks))
    check_same(models[1], alone)


@pytest.mark.parametrize(
    ("given", "names", "expected"),
    [
        ({}, "ab", None),
        ({"b": 3}, "ab", [1, 3]),
        ({"1": 3}, "ab", [1, 3]),
        ({"1": 3}, "12", [3, 1]),  # a name before a number
        ({"0": 0}, "abc", [0, 1, 1]),
    ],
)
def test_a_class_is_given_by_name_or_number(given, names, expected):
    found = class_weights(given, names)
    assert found is None if expected is None else found.tolist() == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [({"c": 1}, "class_weight: no class 'c'"), ({"a": 1, "0": 2}, "class 0 is given twice")],
)
def test_a_wrong_class_is_named(given, message):
    with pytest.raises(InputError, match=message):
        class_weights(given, "ab")


def test_each_candidate_gets_new_callbacks_that_write_into_its_own_folder(tmp_path):
    given = [
        kc.EarlyStopping(patience=3),
        kc.ModelCheckpoint(tmp_path / "m" / "{epoch}.keras"),
        kc.CSVLogger(tmp_path / "log.csv"),
        kc.TensorBoard(tmp_path / "logs"),
    ]
    names = register_callbacks(given)
    assert "patience=3" in names[0] and names[0] in OBJECTS
    stopping, checkpoint, table, board = new_callbacks(names, "candidate-00007", rank=0)
    assert stopping is not given[0] and stopping.patience == 3
    assert checkpoint.filepath == str(tmp_path / "m" / "candidate-00007" / "{epoch}.keras")
    assert table.filename == str(tmp_path / "candidate-00007" / "log.csv")
    assert board.log_dir == str(tmp_path / "logs" / "candidate-00007")
    others = [type(each) for each in new_callbacks(names, "c", rank=1)]
    assert others == [kc.EarlyStopping, *[kc.Callback] * 3]
    assert given[1].filepath == str(tmp_path / "m" / "{epoch}.keras")


def test_other_functions_make_another_search():
    first, other = (
        register_callbacks([kc.LambdaCallback(on_epoch_end=function)])
        for function in (stop_early, test_other_functions_make_another_search)
    )
    assert first != other
    assert first == register_callbacks([kc.LambdaCallback(on_epoch_end=stop_early)])


def decaying(rate):
    return lambda epoch: rate / (epoch + 1)


def decay(epoch, rate):
    return rate / (epoch + 1)


@pytest.mark.parametrize(
    "make",
    [
        decaying,
        lambda rate: partial(decay, rate=rate),
        lambda rate: keras.optimizers.schedules.ExponentialDecay(rate, 3, 0.5),
        lambda rate: [rate, 2.0],
    ],
)
def test_arguments_that_are_no_plain_values_make_another_search(make):
    """Whose run is not resumed."""
    one, other, again = (
        register_callbacks([kc.LearningRateScheduler(make(rate))]) for rate in (0.1, 0.5, 0.1)
    )
    assert one == again != other


def test_callbacks_of_equal_arguments_are_told_apart():
    given = [kc.LambdaCallback(on_epoch_end=print), kc.LambdaCallback(on_epoch_end=repr)]
    found = new_callbacks(register_callbacks(given), "c", rank=0)
    assert [each.on_epoch_end for each in found] == [print, repr]


class Posting(kc.Callback):
    def __init__(self, token, every=1):
        super().__init__()
        self.token, self.every = token, every


def test_no_secret_is_in_a_name():
    server = "https://me:secret@here"
    given = [Posting("secret", 2), Posting("other", 2), kc.RemoteMonitor(server)]
    names = register_callbacks(given)
    assert "secret" not in str(names) and "every=2" in names[0]
    assert len(set(names)) == 3 and not names[1].endswith(" 2")  # other texts, another search


def stop_early():
    return kc.EarlyStopping(patience=1, min_delta=9)


NUMBER = 3


@pytest.mark.parametrize("hypermodel", [Fitting, *left_to_all(Plain)])
def test_an_evaluation_has_callbacks_and_weights(hypermodel, tmp_path):
    board, stop = kc.TensorBoard(tmp_path), f"{__name__}:stop_early"
    names = [stop, *register_callbacks([board, kc.CSVLogger(tmp_path / "a.csv")])]
    more = [f"training.callbacks={names}", "training.class_weight={class 1: 2}"]
    outcome, model = evaluate(hypermodel(), "training.epochs=5", *more, epochs=5)
    assert outcome.state == "done", outcome.reason
    assert len(outcome.history) == 2
    lines = (tmp_path / "candidate-00001" / "a.csv").read_text().splitlines()
    assert len(lines) == 3 and "val_loss" in lines[0]
    assert list((tmp_path / "candidate-00001").glob("**/events*"))


def test_the_recorded_metrics_are_those_of_restored_weights():
    (name,) = register_callbacks(
        [kc.EarlyStopping(patience=1, min_delta=9, restore_best_weights=True)]
    )
    outcome, _ = evaluate(Plain(), "training.epochs=3", f"training.callbacks=[{name!r}]", epochs=3)
    assert outcome.metrics["val_loss"] == pytest.approx(outcome.history[0]["val_loss"])
    assert outcome.metrics["val_loss"] != outcome.history[1]["val_loss"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("EarlyStopping", "training.callbacks: 'EarlyStopping' is not of the form"),
        (f"{__name__}:NUMBER", "NUMBER cannot be created"),
        ("builtins:dict", "is a dict; allowed: a keras.callbacks.Callback"),
        ("keras.callbacks:ModelCheckpoint", "cannot be created for each candidate"),
        ("object:Gone()", "which this process does not have"),
        (
            *register_callbacks([kc.BackupAndRestore("here")]),
            "BackupAndRestore, which has no use here",
        ),
    ],
)
def test_what_is_no_callback_is_named(name, message):
    with pytest.raises(InputError, match=message):
        new_callbacks([name], "candidate", rank=0)


@pytest.mark.parametrize("other", ["training.keep=best", "search.fidelity={epochs: [1, 3]}"])
def test_what_callbacks_exclude_is_refused(other):
    names = "training.callbacks=['keras.callbacks:TerminateOnNaN']"
    with pytest.raises(InputError, match="callbacks"):
        load_config(overrides=[other, names])


class Warm(kc.Callback):
    """Keeps its argument to itself, and looks at tests."""

    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs

    def on_test_end(self, logs=None):
        """Is called only by Keras."""


def test_a_private_argument_makes_another_callback():
    assert register_callbacks([Warm(1)]) == register_callbacks([Warm(1)])
    assert register_callbacks([Warm(1)]) != register_callbacks([Warm(2)])


def test_methods_that_no_search_calls_are_named(tmp_path):
    names = register_callbacks([Warm(1), kc.EarlyStopping(), kc.TensorBoard(str(tmp_path))])
    assert uncalled_hooks(names) == ["Warm.on_test_end"]
    settings = config()
    training = settings.training.model_copy(update={"callbacks": names})
    settings = settings.model_copy(update={"training": training})
    for has_fit in (False, True):
        space = SimpleNamespace(compiles_default=True, has_fit=has_fit)
        notes = ignored_options(settings, space)
        assert [note.split(" is never")[0] for note in notes] == (
            [] if has_fit else ["training.callbacks: Warm.on_test_end"]
        )


@pytest.mark.parametrize("names", ["[]", "['keras.callbacks:TerminateOnNaN']"])
def test_a_retraining_says_that_it_leaves_callbacks_out(names):
    run = SimpleNamespace(config=config(f"training.callbacks={names}"), fact=lambda _: None)
    assert [text.split(",")[0] for text in notes(run, {})] == (
        [] if names == "[]" else ["the Keras callbacks of the search are left out"]
    )
