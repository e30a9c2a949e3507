"""Relevance, conciseness and fidelity by hand, and what always holds."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnas_tf.explanation.interpreting import low_fidelity_warning
from xnas_tf.interpretation.flint.drawing import _pairs
from xnas_tf.interpretation.flint.expert_text import never_predicted_text
from xnas_tf.interpretation.flint.interpretation import Interpretation
from xnas_tf.interpretation.flint.predictions import TAUS, InterpreterPredictions, ranks_in

ATTRIBUTES = np.array([[2.0, 0, 1], [0, 0, 0], [1, 4, 0]])
WEIGHTS = np.array([[1.0, 0, 9], [-1, 2, 9], [0.5, -3, 9]])  # of three attributes for three classes
ANSWERS = np.array([0, 1, 0])


def predictions(attributes=ATTRIBUTES, weights=WEIGHTS, predictor=ANSWERS, interpreter=ANSWERS):
    ranks = (predictor != interpreter).astype(int)
    return InterpreterPredictions(predictor, predictor, interpreter, ranks, attributes, weights)


def test_relevance_by_hand():
    """α of the images: (2, 0, ½), nothing, (1, −4, 0); divided by the largest |α|."""
    found = predictions()
    np.testing.assert_allclose(found.relevance, [[1, 0, 0.25], [0, 0, 0], [0.25, -1, 0]])
    of_classes = found.class_relevance
    np.testing.assert_allclose(of_classes[0], [0.625, -0.5, 0.125])
    np.testing.assert_allclose(of_classes[1], [0, 0, 0])
    assert np.isnan(of_classes[2]).all()  # never answered


def test_conciseness_by_hand():
    """More than 1/τ: only the first attribute at τ ≤ 4; ¼ is more than 1/5."""
    one = 1 / 3
    found = [predictions().conciseness(tau) for tau in TAUS]
    assert found == pytest.approx([one, one, one, one, one, 1])
    # The second image has no relevant attribute and counts all three.
    assert predictions().strict_conciseness(5) == pytest.approx((2 + 3 + 1) / 3)
    only_last = predictions(predictor=np.array([1, 0, 0]))
    assert only_last.strict_conciseness(5) == pytest.approx((3 + 3 + 1) / 3)


def test_fidelity_by_hand():
    logits = np.array([[3.0, 2, 1], [0, 0, 0], [1, 2, 3]])
    ranks = ranks_in(logits, np.array([0, 2, 0]))
    np.testing.assert_array_equal(ranks, [0, 2, 2])  # among equals the first class is first
    weights = np.ones((3, 4))
    found = InterpreterPredictions(ANSWERS, ANSWERS, ANSWERS, ranks, ATTRIBUTES, weights)
    assert [found.fidelity(top) for top in (1, 2, 3)] == pytest.approx([1 / 3, 1 / 3, 1])


def test_a_class_that_the_network_never_predicts_is_not_covered_by_fidelity():
    labels = np.array([0, 1, 2])  # the network predicts 0, 1 and 0
    answers = InterpreterPredictions(
        labels, ANSWERS, ANSWERS, np.zeros(3, int), ATTRIBUTES, WEIGHTS
    )
    found = SimpleNamespace(answers=answers, class_names=["stop", "limit", "yield"])
    assert Interpretation.never_predicted.fget(found) == ["yield"]
    assert "does not predict yield for any" in never_predicted_text(["yield"])
    many = never_predicted_text([f"c{number}" for number in range(120)])
    assert "does not predict c0 or c1 or c2 or 117 other classes for any" in many
    assert not never_predicted_text([])


@given(st.integers(0, 9999))
def test_relevance_is_at_most_one_and_defined(seed):
    rng = np.random.default_rng(seed)
    attributes = np.maximum(rng.normal(size=(6, 4)), 0) * rng.integers(0, 2, (6, 1))
    weights, answers = rng.normal(size=(4, 5)), rng.integers(0, 5, 6)
    found = predictions(attributes, weights, answers, answers)
    assert np.isfinite(found.relevance).all()
    largest = np.abs(found.relevance).max(axis=1)
    np.testing.assert_allclose(largest, attributes.any(axis=1))
    scaled = predictions(7 * attributes, weights, answers, answers)
    np.testing.assert_allclose(found.relevance, scaled.relevance)
    assert np.array_equal(np.sign(found.relevance), np.sign(attributes * weights[:, answers].T))
    counted = [found.conciseness(tau) for tau in TAUS]
    assert counted == sorted(counted)  # more attributes count with a larger τ


@given(st.integers(0, 9999), st.integers(2, 8))
def test_the_best_answer_has_rank_zero(seed, classes):
    logits = np.random.default_rng(seed).integers(0, 3, (5, classes)).astype(float)
    assert (ranks_in(logits, logits.argmax(axis=1)) == 0).all()


def test_answers_without_any_attribute_are_defined():
    labels = np.array([0, 1, 0, 1])
    found = predictions(np.zeros((4, 3)), WEIGHTS[:, :2], labels, np.zeros(4, int))
    assert found.accuracies == (1, 0.5) and found.fidelity() == 0.5
    assert found.fidelity(5) is None  # of two classes, five always agree
    assert found.unexplained == 1 and found.use(5).tolist() == [0, 0, 0]
    assert found.class_relevance[0].tolist() == [0, 0, 0]


def test_a_single_attribute_is_drawn_once_for_each_class():
    labels = np.array([0, 1])
    found = predictions(np.ones((2, 1)), np.array([[1.0, 2.0]]), labels, labels)
    assert _pairs(found) == [(0, 0), (1, 0)]


def test_an_interpreter_that_says_little_is_said_to():
    assert low_fidelity_warning(0.97) == low_fidelity_warning(None) == ""
    assert "19.8%" in low_fidelity_warning(0.198) and "`rate`" in low_fidelity_warning(0.198)
