"""Figures of masks, by hand-computed cases and by properties."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.collages import make_collages
from xnas_tf.interpretation.nad.evaluation import answers
from xnas_tf.interpretation.nad.masks import Paths

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


def diversity(similarity):
    return 1 - metrics.mean_of_pairs(similarity)


@given(MASKS)
def test_diversity_is_a_share(masks):
    assert 0 <= diversity(metrics.jaccard(masks)) <= 1
    assert diversity(metrics.jaccard(masks[[0, 0, 0]])) == 0


def subsets(channels, size):
    """All masks of so many channels."""
    rows = list(combinations(range(channels), size))
    masks = np.zeros((len(rows), channels), bool)
    for mask, row in zip(masks, rows, strict=True):
        mask[list(row)] = True
    return masks


@given(st.integers(1, 6), st.data())
def test_expectation_is_the_mean_over_all_masks(channels, data):
    first, second = (data.draw(st.integers(0, channels)) for _ in range(2))
    one, two = subsets(channels, first), subsets(channels, second)
    pairs = metrics.jaccard(np.concatenate([one, two]))[: len(one), len(one) :]
    found = metrics.expected_jaccard(np.array([first, second]), channels)
    assert found[0, 1] == found[1, 0] == pytest.approx(pairs.mean())


@pytest.mark.parametrize(("channels", "sizes"), [(64, (40, 9)), (16, (15, 13)), (512, (100, 100))])
def test_random_masks_have_the_expected_index_and_no_corrected_similarity(channels, sizes):
    order = np.random.default_rng(0).random((400, 2, channels)).argsort(axis=2)
    masks = order < np.array(sizes)[:, None]
    expected = metrics.expected_jaccard(np.array(sizes), channels)[0, 1]
    found = np.mean([metrics.jaccard(pair)[0, 1] for pair in masks])
    assert found == pytest.approx(expected, abs=0.02 * (1 - expected))
    corrected = np.mean([metrics.corrected_jaccard(pair)[0, 1] for pair in masks])
    assert corrected == pytest.approx(0, abs=0.02)


def least_similarity(sizes, channels):
    """The least corrected similarity of masks of two sizes, neither empty nor full."""
    expected = metrics.expected_jaccard(np.array(sizes), channels)[0, 1]
    least = max(0, sum(sizes) - channels) / min(channels, sum(sizes))
    return (least - expected) / (1 - expected)


@given(MASKS)
def test_corrected_similarity_is_within_its_bounds(masks):
    found, channels = metrics.corrected_jaccard(masks), masks.shape[1]
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)
    assert (found >= -1).all() and (found <= 1).all()
    assert 0 <= diversity(found) <= 2
    for i, j in combinations(range(len(masks)), 2):
        sizes = masks[[i, j]].sum(axis=1)
        if (masks[i] == masks[j]).all() or not 0 < sizes.min() <= sizes.max() < channels:
            assert found[i, j] == 1
        else:
            assert least_similarity(sizes, channels) - 1e-9 <= found[i, j] < 1


@given(st.integers(2, 40), st.data())
def test_disjoint_masks_have_the_least_similarity(channels, data):
    first = data.draw(st.integers(1, channels - 1))
    second = data.draw(st.integers(1, channels - first))
    masks = np.zeros((2, channels), bool)
    masks[0, :first] = masks[1, channels - second :] = True
    found = metrics.corrected_jaccard(masks)[0, 1]
    assert found == pytest.approx(least_similarity((first, second), channels)) and found < 0


def test_corrected_similarity_by_hand():
    masks = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]], bool)
    expected = (4 / 6) / 3 + 1 / 6  # one in common, or both
    truth = [-expected / (1 - expected), (1 / 3 - expected) / (1 - expected)]
    np.testing.assert_allclose(metrics.corrected_jaccard(masks)[0, 1:], truth)


def test_masks_that_are_full_or_empty_do_not_count_as_different():
    masks = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1]], bool)
    found = metrics.corrected_jaccard(masks)
    assert (found[:2] == 1).all() and found[2, 3] < 0
    assert diversity(metrics.corrected_jaccard(np.ones((4, 3), bool))) == 0
    assert metrics.corrected_jaccard(np.array([[1], [0]], bool)).tolist() == [[1, 1], [1, 1]]


def test_equal_probabilities_are_no_answer():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    assert metrics.decided(probabilities).tolist() == [1, -1, -1]


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
    without_images = np.array([1, np.nan, 2, 4, 3])  # one class has none
    known = metrics.rank_correlation(np.array([1, 9, 2, 3, 4]), without_images)
    assert known == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_confusions_are_mean_probabilities():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    found = metrics.confusions(probabilities, np.array([0, 0, 1]), np.array([0, 1, 2]))
    np.testing.assert_allclose(found[:2], [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
    assert np.isnan(found[2]).all()
    assert metrics.others_by(np.array([0.7, 0.2, 0.2, 0.9]), own=0) == [3, 1, 2]


def test_equally_similar_classes_share_the_last_place():
    values = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert [metrics.nearest_share(values, i) for i in range(5)] == pytest.approx(
        [1, *3 * [2 / 3], 0]
    )
    # Classes 0 and 1 have paths in one layer, 2 to 6 in the other one, and 7 has none of its own.
    logits = [np.ones((8, 4), np.float32) for _ in range(2)]
    for place in range(7):
        logits[place > 1][place, place % 4] = -1
    paths = Paths(["one", "two"], logits, np.ones(8))
    shares = [paths.similar_share(0, other) for other in range(1, 7)]
    assert shares == pytest.approx([0, *5 * [3 / 5]]) and paths.most_similar(0) == []
    assert paths.most_similar(2) == [0, 1, 6] and paths.most_similar(7) == []
    # Of three others, only one is listed, which nothing but their order would choose here.
    alike = Paths(["one"], [1 - 2 * np.eye(4, dtype=np.float32)], np.ones(4))
    assert alike.similar_share(0, 1) == 1 and alike.most_similar(0) == []


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
    np.testing.assert_allclose(metrics.defined_mean(values, 1), [2, np.nan])
    np.testing.assert_allclose(metrics.defined_deviation(values, 1), [1, np.nan])


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
