"""Measures before the end of training, on the test split, and of several definitions."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.spaces import small_cells
from tests.unit.test_shared_network import shared_evaluator
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.validator import Validator, validation_order
from xnas_tf.keras_tools.kernel_cache import kept_kernels
from xnas_tf.keras_tools.tracing import kept_arithmetic
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.objectives.performance import BINS, CalibrationError
from xnas_tf.retraining.settings import _base_config
from xnas_tf.spaces.cells import EDGES
from xnas_tf.training.checkpoint import TrainingProgress, pack, unpack
from xnas_tf.training.predictor import Predictor

SOURCES = ["activations", "grad_cam"]
EARLY = {"name": "introspectability", "sources": SOURCES, "group_by": "true"}
OF_EDGES = {(0, 3): "nor_conv_3x3", (0, 1): "skip_connect", (1, 3): "nor_conv_1x1"}
CELL = {edge: OF_EDGES.get(ends, "none") for edge, ends in EDGES.items()}
"""Two paths, quick to trace."""


@pytest.fixture(scope="module", autouse=True)
def kernels():
    with kept_kernels(), kept_arithmetic():
        yield


def made(*overrides, epochs=3):
    dataset = make_dataset()
    # One step an epoch, and too few to be traced.
    training = {"epochs": epochs, "batch_size": 60, "learning_rate": 0.02}
    config = load_config(overrides=[f"training={json.dumps(training)}", *overrides])
    return config, dataset, small_cells()


class AfterTwoEpochs(Evaluator):
    """Ends a training after its second epoch."""

    def _ends_early(self, candidate, trainer, history):
        return len(history) == 2


RECORDED = f"record_at={json.dumps({0: [EARLY, 'error'], 2: [EARLY]})}"


def evaluated(make=Evaluator, ranks=None, keep=None, overrides=(RECORDED, "objectives=[error]")):
    given = *made(*overrides), ranks or SingleProcess()
    result = make(*given).evaluate(Candidate(1, "", CELL, seed=7, epochs=3), keep)
    assert result.state == "done", result.reason
    return result


@pytest.fixture(scope="module")
def recorded():
    return evaluated()


def test_values_before_training_are_those_of_the_untrained_model(recorded):
    config, dataset, space = made()
    keras.utils.set_random_seed(7)
    model = space.build(CELL)
    split = dataset.validation.select(validation_order(config, dataset))
    probabilities = Predictor(model)(split.images)
    subject = Subject(
        model, SingleProcess(), dataset.class_names, split.images, split.labels, probabilities
    )
    measured = Introspectability(**EARLY).score(subject)
    expected = {"introspectability": measured.value, **measured.metrics}
    for name, value in expected.items():
        assert recorded.metrics[f"epoch_0/{name}"] == pytest.approx(value, abs=1e-5), name
    wrong = np.mean(probabilities.argmax(axis=1) != split.labels)
    assert recorded.metrics["epoch_0/error"] == pytest.approx(wrong)


def test_values_in_between_are_those_of_a_training_that_ends_there(recorded):
    short = made(f"record={json.dumps([EARLY])}", "objectives=[error]")
    judge = AfterTwoEpochs(*short, SingleProcess())
    result = judge.evaluate(Candidate(1, "", CELL, seed=7, epochs=3))
    assert len(result.history) == 2
    names = [name for name in result.metrics if name.startswith("introspectability")]
    assert len(names) > len(SOURCES)
    for name in names:
        expected = pytest.approx(result.metrics[name], abs=1e-5)
        assert recorded.metrics[f"epoch_2/{name}"] == expected, name


@pytest.mark.long
def test_the_supernet_records_the_same(recorded):
    shared = evaluated(shared_evaluator)
    early = {name for name in recorded.metrics if name.startswith("epoch_")}
    assert early == {name for name in shared.metrics if name.startswith("epoch_")}
    for name in early:
        assert shared.metrics[name] == pytest.approx(recorded.metrics[name], abs=1e-4), name


@pytest.mark.long
def test_two_ranks_record_the_same_values_before_training(recorded):
    both = on_ranks(2, lambda ranks: evaluated(ranks=ranks))
    for name, value in recorded.metrics.items():
        if name.startswith("epoch_0") and "standard_error" not in name:
            assert both[0].metrics[name] == both[1].metrics[name]
            assert both[0].metrics[name] == pytest.approx(value, abs=1e-4), name


def test_checkpoints_keep_early_values():
    variable = keras.Variable(1.0)
    progress = TrainingProgress(1, early={"epoch_0/error": 0.5})
    assert unpack(pack(progress, [variable]), [variable]) == progress


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("record_at={3: [error]}", r"record_at: given 3; allowed: less than training.epochs \(3\)"),
        ("record_at={1: [error, error]}", "record_at: 1: the same measure is given twice"),
        ("record_at={1: [eror]}", "'eror'.*error"),
        ("test=every", "test: given 'every'"),
    ],
)
def test_what_cannot_be_recorded_is_named(override, message):
    with pytest.raises(InputError, match=message):
        made(override)


def test_a_key_of_record_at_is_a_number_on_the_command_line_too():
    config, *_ = made("record_at={1: [consistency]}", "record_at.1.0.images=20")
    assert config.record_at[1][0].images == 20


def test_retrainings_record_nothing_early(tmp_path):
    config, *_ = made(RECORDED, "test=all")
    run = SimpleNamespace(config=config, path=tmp_path)
    settings = _base_config(run)
    assert settings.record_at == {} and settings.test == "front"


def test_all_candidates_can_be_tested_as_keras_evaluates_them():
    kept = []
    result = evaluated(
        keep=lambda _, model: kept.append(model), overrides=("test=all", "objectives=[error]")
    )
    dataset, (model,) = make_dataset(), kept
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(
        dataset.test.images.astype("float32") / 255, dataset.test.labels, verbose=0
    )
    assert result.metrics["test_loss"] == pytest.approx(loss, rel=1e-4)
    assert result.metrics["test_accuracy"] == pytest.approx(accuracy)
    assert result.metrics["test_error"] == pytest.approx(1 - accuracy)
    both = on_ranks(2, lambda ranks: made_validator(ranks, model))
    assert both[0] == both[1]
    assert both[0]["test_loss"] == pytest.approx(loss, rel=1e-4)


def made_validator(ranks, model):
    config, dataset, _ = made()
    return Validator(config, dataset, ranks).test(Predictor(model))


def test_a_variant_has_the_values_of_an_objective_with_its_options():
    options = {
        "plain": {"estimator": "plain", "sources": ["activations"]},
        "layers": {"normalize": "layer", "sources": ["activations"]},
        "true": {"group_by": "true"},
    }
    config, dataset, space = made()
    keras.utils.set_random_seed(1)
    model, split = space.build(CELL), dataset.validation
    probabilities = np.eye(3, dtype=np.float32)[(split.labels + (split.labels == 0)) % 3]
    subject = Subject(
        model, SingleProcess(), dataset.class_names, split.images, split.labels, probabilities
    )
    base = {"sources": SOURCES}
    values = Introspectability(**base, variants=options).score(subject)
    alone = Introspectability(**base).score(subject)
    assert values.value == alone.value
    assert alone.metrics.items() <= values.metrics.items()
    for name, changed in options.items():
        own = Introspectability(**{**base, **changed}).score(subject)
        assert values.metrics[f"introspectability/{name}"] == own.value
        for source in own.metrics:
            key = source.replace("introspectability", f"introspectability/{name}", 1)
            if key in values.metrics:
                assert values.metrics[key] == own.metrics[source]
    assert values.metrics["introspectability/true"] != values.value


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"grad_cam": {}}, "given the name 'grad_cam'"),
        ({"a": {"estimatr": "plain"}}, "variants.a: unknown key estimatr.*estimator"),
        ({"a": {"sources": ["grad_cam"], "normalize": "layer"}}, "variants.a: .*activations only"),
        ({"a": {"variants": {}}}, "a changes variants, which a variant cannot"),
        ({"a": {"direction": "minimize"}}, "a changes direction"),
        ({"": {}}, "given the name ''"),
    ],
)
def test_bad_variants_are_named(variants, message):
    entry = json.dumps([{"name": "introspectability", "variants": variants}])
    with pytest.raises(InputError, match=message):
        load_config(overrides=[f"objectives={entry}"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 1.0), st.booleans()), min_size=1, max_size=40))
def test_calibration_error_is_that_of_a_loop_over_bins(predictions):
    confidence = np.array([c for c, _ in predictions])
    labels = np.array([int(right) for _, right in predictions])
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    subject = Subject(
        None, SingleProcess(), ("a", "b"), np.zeros((len(labels), 1, 1, 1)), labels, probabilities
    )
    right = probabilities.argmax(axis=1) == labels
    largest = probabilities.max(axis=1)
    expected = 0.0
    for number in range(BINS):
        inside = (largest > number / BINS) & (largest <= (number + 1) / BINS)
        if inside.any():
            gap = abs(right[inside].mean() - largest[inside].mean())
            expected += inside.mean() * gap
    score = CalibrationError().score(subject)
    assert score.value == pytest.approx(expected)
    assert score.metrics["calibration_error/confidence"] == pytest.approx(largest.mean())
