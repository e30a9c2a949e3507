"""Figures of masks, by hand-computed cases and by properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xnas_tf.interpret.nad import metrics
from xnas_tf.interpret.nad.collages import make_collages
from xnas_tf.interpret.nad.figures import answers, defined_deviation, defined_mean

MASKS = arrays.arrays(bool, st.tuples(st.integers(2, 5), st.integers(1, 9)))


def test_jaccard_by_hand():
    masks = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    truth = [[1, 1 / 3, 0, 0.5], [1 / 3, 1, 0, 0.5], [0, 0, 1, 0], [0.5, 0.5, 0, 1]]
    np.testing.assert_allclose(metrics.jaccard(masks), truth)
    assert metrics.jaccard(np.zeros((2, 3), bool)).tolist() == [[1, 1], [1, 1]]


@given(MASKS)
def test_jaccard_is_a_similarity(masks):
    found = metrics.jaccard(masks)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)
    order = np.random.default_rng(0).permutation(masks.shape[1])
    np.testing.assert_allclose(metrics.jaccard(masks[:, order]), found)
    for i, j in np.argwhere(found == 1):
        np.testing.assert_array_equal(masks[i], masks[j])


@given(MASKS)
def test_diversity_is_a_share(masks):
    both = metrics.similarity([masks, masks])
    np.testing.assert_allclose(both, metrics.jaccard(masks))
    assert 0 <= metrics.diversity(both) <= 1
    assert metrics.diversity(metrics.similarity([masks[[0, 0, 0]]])) == 0


def test_hits_by_hand():
    maps = np.array([[[4.0, 3], [2, 1]], [[1, 4], [2, 3]], [[5, 5], [5, 5]]])
    inside = np.array([[[1, 0], [0, 0]]] * 3, bool)
    np.testing.assert_allclose(metrics.hit_rates(maps, inside, 0.25), [1, 0, 0.25])
    np.testing.assert_allclose(metrics.hit_rates(maps, inside, 0.5), [0.5, 0, 0.25])
    # One place is sure, three pixels share the second.
    shared = np.array([[[9.0, 5], [5, 5]]])
    down = np.array([[[0, 0], [1, 1]]], bool)
    np.testing.assert_allclose(metrics.hit_rates(shared, down, 0.5), [(0 + 2 / 3) / 2])


MAPS = arrays.arrays(np.float64, (3, 4, 4), elements=st.integers(-3, 3).map(float))


@given(MAPS, st.floats(0.01, 1))
def test_hits_of_regions_add_up(maps, share):
    quadrants = [np.zeros((3, 4, 4), bool) for _ in range(4)]
    for number, region in enumerate(quadrants):
        down, across = divmod(number, 2)
        region[:, 2 * down : 2 * down + 2, 2 * across : 2 * across + 2] = True
    found = np.stack([metrics.hit_rates(maps, region, share) for region in quadrants])
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found.sum(axis=0), 1)
    moved = metrics.hit_rates(2 * maps + 7, quadrants[0], share)
    np.testing.assert_allclose(moved, found[0])
    flat = metrics.hit_rates(np.zeros_like(maps), quadrants[0], share)
    np.testing.assert_allclose(flat, 0.25)


def test_rank_correlation_by_hand():
    assert metrics.rank_correlation(np.array([1, 2, 3]), np.array([10, 20, 90])) == pytest.approx(1)
    assert metrics.rank_correlation(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    found = metrics.rank_correlation(np.array([1, 2, 3, 4]), np.array([2, 1, 4, 3]))
    assert found == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert np.isnan(metrics.rank_correlation(np.ones(3), np.arange(3)))


def test_confusions_are_mean_probabilities():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    found = metrics.confusions(probabilities, np.array([0, 0, 1]), np.array([0, 1, 2]))
    np.testing.assert_allclose(found[:2], [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
    assert np.isnan(found[2]).all()
    assert metrics.others_by(np.array([0.7, 0.2, 0.2, 0.9]), own=0) == [3, 1, 2]


def test_agreement_by_hand():
    usual = np.array([1.0, 2.0, 4.0, 0.0])
    energies = np.array([[2.0, 2.0, 4.0, 0.0], [0, 0, 0, 0]])
    path = np.array([True, False, False, True])  # a dead channel says nothing
    found = metrics.path_agreement(energies, usual, path)
    assert found[0] == pytest.approx(2 / (4 / 3)) and np.isnan(found[1])
    assert np.isnan(metrics.path_agreement(energies, usual, np.zeros(4, bool))).all()


def test_answers_by_hand():
    predicted = np.array([[0, 0, 1, 0], [1, 0, 1, 1], [2, 2, 2, 2]])
    found = answers(predicted, np.array([0, 0, 1, 1]), np.arange(3))
    np.testing.assert_allclose(found.accuracy, [1, 1, np.nan])
    np.testing.assert_allclose(found.false_alarms, [0.5, 0.5, 1])


def test_what_is_not_defined_is_left_out_of_means():
    values = np.array([[1.0, 3, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_allclose(defined_mean(values, 1), [2, np.nan])
    np.testing.assert_allclose(defined_deviation(values, 1), [1, np.nan])


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 6), st.integers(0, 9))
def test_collages_hold_their_class_where_they_say(height, width, classes, seed):
    labels = np.arange(3 * classes) % classes
    images = np.zeros((len(labels), height, width, 1), np.uint8) + labels[:, None, None, None] * 20
    images = images.astype(np.uint8)
    found = make_collages(images, labels, np.arange(classes), 2, seed)
    assert found.images.shape == (2 * classes, height, width, 1)
    for image, owner, inside in zip(found.images, found.owners, found.inside, strict=True):
        assert (image[inside] == owner * 20).all()
        assert (image[~inside] != owner * 20).all()
    again = make_collages(images, labels, np.arange(1, 2), 2, seed)
    np.testing.assert_array_equal(again.images, found.images[found.owners == 1])
    assert 0 < found.chance < 0.6


def test_one_class_alone_makes_no_collage():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    assert not len(make_collages(images, np.zeros(2, int), np.arange(2), 3, 0).owners)
