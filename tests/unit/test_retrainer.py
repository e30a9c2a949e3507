"""The baseline, and one training in full: when it ends, what is kept, what is tested."""

import threading
from dataclasses import asdict, replace

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.python.summary.summary_iterator import summary_iterator

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.spaces import small_cells
from tests.unit import test_supervision
from tests.unit.test_retraining import CELL, SHAPE, cell_candidate
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.data import Split
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.validator import Validator
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.cost import Parameters
from xnas_tf.retraining.baseline import HE_CHANNELS, ResNet, resnet_of_size
from xnas_tf.retraining.evaluator import AttributionPictures, Retrainer
from xnas_tf.retraining.results import BASELINE
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback, Interrupted
from xnas_tf.training.checkpoint import best_epoch
from xnas_tf.training.predictor import Predictor

# The baseline


@pytest.mark.parametrize("network", [ResNet(1, 1), ResNet(1, 5), ResNet(2, 4), ResNet(3, 16)])
@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 3), ((32, 32, 3), 10)])
def test_the_baselines_parameters_are_those_of_the_network_built(network, shape, classes):
    model = network.build(shape, classes)
    subject = Subject(model, SingleProcess(), tuple(map(str, range(classes))))
    assert Parameters().score(subject).value == network.parameters(shape, classes)
    assert model.output_shape == (None, classes)


def test_the_published_residual_networks():
    """He et al. 2016, table 6, in millions: 0.27, 0.46, 0.66, 0.85; ours have two shortcuts with
    weights, some 3,000 more."""
    sizes = [ResNet(n, HE_CHANNELS).parameters((32, 32, 3), 10) / 1e6 for n in (3, 5, 7, 9)]
    np.testing.assert_allclose(sizes, [0.27, 0.46, 0.66, 0.85], atol=0.01)
    assert ResNet(3, HE_CHANNELS).title == "ResNet-20, 16 channels"


@given(st.integers(1, 5_000_000))
def test_no_number_of_channels_is_nearer_to_the_size_wanted(wanted):
    found = resnet_of_size(wanted, (32, 32, 3), 10)
    distance = abs(found.parameters((32, 32, 3), 10) - wanted)
    for channels in (found.channels - 1, found.channels + 1):
        other = replace(found, channels=channels)
        assert channels < 1 or distance <= abs(other.parameters((32, 32, 3), 10) - wanted)


# A training


class TaskCallback(test_supervision.TaskCallback):
    """Wants no checkpoints but those of the epochs, and counts them."""

    is_careful, kept = False, 0

    def save_checkpoint(self, data):
        super().save_checkpoint(data)
        self.kept += 1


PATCHING = threading.Lock()
"""Ranks are threads: one that patched while another did would leave its patch behind."""
ACCURACIES = (0.3, 0.5, 0.9, 0.4, 0.8, 0.2, 0.1, 0.6)


class Scripted(Validator):
    """The validation accuracies that decide are given: those of so few images hang on rounding."""

    def validate(self, model, predictor, epoch):
        return super().validate(model, predictor, epoch) | {"val_accuracy": ACCURACIES[epoch - 1]}


def retrainer(patience=8, epochs=8, communicator=None, dataset=None, gallery=None):
    """On few images; of eight epochs the third is the best."""
    dataset = dataset or make_dataset(24)
    config = load_config(
        overrides=[
            f"training={{epochs: {epochs}, batch_size: 8, learning_rate: 0.3, keep: best}}",
            "objectives=[error, parameters]",
        ]
    )
    ranks = communicator or SingleProcess()
    with PATCHING, pytest.MonkeyPatch.context() as patch:
        patch.setattr("xnas_tf.evaluation.evaluator.Validator", Scripted)
        return Retrainer(config, dataset, small_cells(), ranks, patience, gallery)


def trained(judge, candidate=None, callback=None):
    """The outcome and the weights that are kept."""
    weights = []
    keep = lambda _, model: weights.extend(model.get_weights())  # noqa: E731
    outcome = judge.evaluate(candidate or cell_candidate(), keep, callback)
    return outcome, weights


@pytest.fixture(scope="module")
def whole():
    return trained(retrainer())


@pytest.mark.long
def test_the_best_epochs_weights_are_kept_and_tested(whole):
    outcome, weights = whole
    assert outcome.state == "done" and len(outcome.history) == 8
    assert outcome.metrics["best_epoch"] == best_epoch(outcome.history) == 3
    model = small_cells().build(CELL)
    model.set_weights(weights)
    dataset = make_dataset(24)
    wrong = {
        name: Predictor(model)(part.images).argmax(axis=1) != part.labels
        for name, part in dataset.parts.items()
    }
    assert outcome.objectives["error"] == np.mean(wrong["validation"])
    assert outcome.metrics["val_loss"] == outcome.history[2]["val_loss"]
    assert outcome.metrics["test_error"] == pytest.approx(np.mean(wrong["test"]))
    for label in range(3):
        expected = np.mean(wrong["test"][dataset.test.labels == label])
        assert outcome.metrics[f"test_error/{label}"] == pytest.approx(expected)
    assert outcome.metrics["parameters"] == outcome.objectives["parameters"]


@pytest.mark.long
def test_a_gallery_is_drawn_and_changes_nothing(tmp_path):
    said = []
    gallery = AttributionPictures(tmp_path, make_dataset(24), 20, said.append)
    first = replace(cell_candidate(), seed=0)
    outcome, weights = trained(retrainer(gallery=gallery), first)
    without, others = trained(retrainer(), first)
    assert (outcome.history, outcome.objectives) == (without.history, without.objectives)
    np.testing.assert_equal(weights, others)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "candidate-00001-seed-0-attributions" and not said
    files = sorted(folder.iterdir(), key=lambda file: int(file.name.split(".")[-2]))
    events = [e for file in files for e in summary_iterator(str(file)) if e.summary.value]
    assert [event.step for event in events] == [1, 2, 4, 6, 8]
    pictures = [event.summary.value[0].tensor.string_val[2] for event in events]
    assert len(set(pictures)) == 5  # of a network that changes
    trained(retrainer(epochs=1, gallery=gallery), cell_candidate())
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.long
def test_what_cannot_be_drawn_is_said_once(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError("of a user's layer")

    monkeypatch.setattr("xnas_tf.retraining.evaluator.explain", fails)
    said = []
    gallery = AttributionPictures(tmp_path, make_dataset(24), 2, said.append)
    first = replace(cell_candidate(), seed=0)
    outcome, _ = trained(retrainer(epochs=2, gallery=gallery), first)
    assert outcome.state == "done" and len(said) == 1
    assert "candidate-00001-seed-0" in said[0] and "user's layer" in said[0]


@pytest.mark.long
def test_a_training_that_gets_no_better_ends_early(whole):
    epochs = []

    class Epochs(EvaluationCallback):
        def on_epoch_end(self, history):
            epochs.append(len(history))

    early, weights = trained(retrainer(2), callback=Epochs())
    assert early.history == whole[0].history[:5]
    np.testing.assert_equal(weights, whole[1])  # those of the third epoch
    assert epochs == [1, 2, 3, 4, 5]


@pytest.mark.long
def test_interrupted_anywhere_it_goes_on_to_the_same_model(whole):
    outcome, weights = whole
    callback = TaskCallback()
    trained(retrainer(), callback=callback)
    beats = callback.beats
    assert callback.kept == 8
    for at in (beats // 2, beats):  # amid the epochs, and in the test
        cut = TaskCallback(at, Interrupted("terminated", 143))
        with pytest.raises(Interrupted):
            trained(retrainer(), callback=cut)
        resumed, again = trained(retrainer(), callback=TaskCallback(data=cut.data))
        for name in ("state", "reason", "objectives", "metrics", "history"):
            assert getattr(resumed, name) == getattr(outcome, name)
        for one, other in zip(weights, again, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.long
def test_two_ranks_test_every_image_once():
    def work(world):
        return retrainer(epochs=1, communicator=world).evaluate(cell_candidate())

    def counts(outcome):
        return round(30 * outcome.metrics["test_accuracy"], 9) % 1

    first, second = on_ranks(2, work)
    assert first.state == second.state == "done", first.reason
    assert first.metrics == second.metrics and counts(first) == 0


@pytest.mark.long
def test_the_test_part_is_looked_at_once_after_everything():
    """Nothing before depends on it: with other images there only the test figures differ."""
    dataset = make_dataset(24)
    other = replace(dataset, test=make_dataset(24, seed=5).test)
    black = replace(dataset, test=Split(np.zeros_like(dataset.test.images), dataset.test.labels))
    found = [retrainer(epochs=1, dataset=d).evaluate(cell_candidate()) for d in (other, black)]
    one, two = (
        {k: v for k, v in each.metrics.items() if not k.startswith("test_")} for each in found
    )
    assert one == two and found[0].history == found[1].history
    assert found[1].metrics["test_accuracy"] == pytest.approx(1 / 3)


@pytest.mark.long
def test_the_baseline_is_trained_the_same_way_and_candidates_after_it():
    judge = retrainer(epochs=1)
    network = ResNet(1, 2)
    baseline = Candidate(BASELINE, network.key, asdict(network), seed=0, epochs=1)
    outcome = judge.evaluate(baseline)
    assert outcome.state == "done" and outcome.metrics["parameters"] == network.parameters(SHAPE, 3)
    assert judge.evaluate(cell_candidate()).state == "done"


class Topped(keras_tuner.HyperModel):
    """A tiny network with a metric, that the search trains."""

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dense(hp.Int("units", 3, 5), activation="relu")(x)
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        metrics = [keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")]
        optimizer = keras.optimizers.SGD(3.0)  # so that later epochs are worse
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=metrics)
        return model


class Fitted(Topped):
    """Trains itself."""

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


def retrained(hypermodel, patience=8):
    """A training in full of a HyperModel's network, its weights, and the baseline's training."""
    names = "error, {name: 'metric:top2', direction: maximize}"
    config = load_config(
        overrides=["training={epochs: 8, batch_size: 8, keep: best}", f"objectives=[{names}]"]
    )
    space = SearchSpace(hypermodel, SHAPE, 3)
    judge = Retrainer(config, make_dataset(24), space, SingleProcess(), patience)
    outcome, weights = trained(judge, Candidate(1, "g", {"units": 4}, seed=1, epochs=8))
    baseline = judge.evaluate(Candidate(BASELINE, "resnet", asdict(ResNet(1, 1)), seed=0, epochs=1))
    return outcome, weights, baseline


@pytest.mark.parametrize("hypermodel", left_to_all(Fitted(), Topped()))
def test_the_baseline_has_no_metrics_of_a_hypermodel(hypermodel):
    outcome, _, baseline = retrained(hypermodel)
    assert outcome.state == baseline.state == "done", outcome.reason + baseline.reason
    assert [*outcome.objectives] == ["error", "metric:top2"]
    assert [*baseline.objectives] == ["error"]


@pytest.mark.long
def test_of_a_network_that_trains_itself_the_best_epoch_is_kept_too():
    outcome, weights, _ = retrained(Fitted())
    assert outcome.state == "done" and len(outcome.history) == 8
    best = int(outcome.metrics["best_epoch"])
    assert best == best_epoch(outcome.history) < 8  # else this shows nothing
    model = SearchSpace(Fitted(), SHAPE, 3).build({"units": 4})
    model.set_weights(weights)
    test = make_dataset(24).test
    wrong = Predictor(model)(test.images).argmax(axis=1) != test.labels
    assert outcome.metrics["test_error"] == pytest.approx(np.mean(wrong))
    for name, figure in {"error": "val_accuracy", "metric:top2": "val_top2"}.items():
        expected = outcome.history[best - 1][figure]
        value = outcome.objectives[name]
        assert (1 - value if name == "error" else value) == pytest.approx(expected)
    early, *_ = retrained(Fitted(), patience=1)
    assert early.history == outcome.history[: len(early.history)]
    assert len(early.history) - best_epoch(early.history) == 1 < 8 - best_epoch(early.history)
