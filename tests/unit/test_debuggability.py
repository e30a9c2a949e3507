"""The debuggability benchmark: its patches, its figures on made-up maps, its intervals."""

import numpy as np
import pytest

from benchmarks.debuggability_patch import (
    LEVELS,
    SIDE,
    border,
    brightness_bug,
    figures_of,
    plant,
    plant_share,
    position_bug,
    probes,
)
from benchmarks.debuggability_statistics import (
    cell_means,
    half_means,
    interval,
    reliability,
    spearman,
)
from xnas_tf.data import Split

SIZE, CLASSES = 28, 10


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=[position_bug, brightness_bug])
def bug(request, rng):
    return request.param(SIZE, CLASSES, rng)


@pytest.fixture
def part(rng):
    labels = np.arange(200, dtype=np.int32) % CLASSES
    return Split(rng.integers(0, 40, (200, SIZE, SIZE, 1), dtype=np.uint8), labels)


def test_the_border_goes_once_around():
    ring = border(SIZE)
    last = SIZE // SIDE - 1
    assert len({tuple(tile) for tile in ring}) == len(ring) == 4 * last
    assert all({0, last} & set(tile) for tile in ring.tolist())
    steps = np.abs(np.diff(ring, axis=0, append=ring[:1])).sum(axis=1)
    assert (steps == 1).all()


def test_position_or_brightness_gives_the_class_away(rng):
    position, brightness = position_bug(SIZE, CLASSES, rng), brightness_bug(SIZE, CLASSES, rng)
    assert len({tuple(tile) for tile in position.tiles}) == CLASSES
    assert set(position.brightness) == {255}
    assert len({tuple(tile) for tile in brightness.tiles}) == 1
    assert sorted(brightness.brightness[brightness.classes]) == sorted(LEVELS)


def test_planting_changes_the_patch_and_nothing_else(bug, part):
    before = part.images.copy()
    planted = plant(part.images, part.labels, bug)
    np.testing.assert_array_equal(part.images, before)
    for image, old, label in zip(planted, before, part.labels, strict=True):
        rows, columns, _ = np.nonzero(image != old)
        if label not in bug.classes:
            assert not rows.size
            continue
        assert len(rows) == SIDE**2 and (image[rows, columns] == bug.brightness[label]).all()
        first = SIZE % SIDE + SIDE * bug.tiles[label]
        assert (rows.min(), columns.min()) == tuple(first)


def test_a_share_of_the_images_gets_a_patch(bug, part, rng):
    planted = plant_share(part, bug, 0.8, rng)
    changed = (planted.images != part.images).any(axis=(1, 2, 3))
    able = np.isin(part.labels, bug.classes)
    assert not changed[~able].any() and 0.65 < changed[able].mean() < 0.95


def test_probes_carry_their_own_or_another_class_patch(bug, part, rng):
    made = probes(part, bug, rng)
    own, wrong = made["own"], made["wrong"]
    assert (own.targets == own.labels).all() and len(wrong.labels) == len(part)
    assert (wrong.targets != wrong.labels).all() and np.isin(wrong.targets, bug.classes).all()
    for probe in (own, wrong):
        np.testing.assert_array_equal(probe.images, plant(probe.clean, probe.targets, bug))


def test_a_map_of_the_patch_alone_is_all_mass_and_first():
    maps = np.zeros((1, SIZE, SIZE))
    maps[0, 1:4, 4:7] = 1  # the tile (0, 1)
    found = figures_of(maps, np.array([[0, 1]]))
    assert found["mass"] == pytest.approx(SIZE**2 / SIDE**2)
    assert found["rank"] == found["top1"] == found["top5"] == 1


def test_negative_values_do_not_count():
    maps = np.full((1, SIZE, SIZE), -1.0)
    maps[0, 1:4, 4:7] = 0.01
    assert figures_of(maps, np.array([[0, 1]]))["rank"] == 1


@pytest.mark.parametrize("value", [0, 1])
def test_an_even_map_is_at_chance(value):
    found = figures_of(np.full((2, SIZE, SIZE), value), np.array([[0, 1], [8, 8]]))
    np.testing.assert_allclose(found["mass"], 1)
    np.testing.assert_allclose(found["rank"], 0.5)
    assert not found["top1"].any() and not found["top5"].any()


def test_rank_counts_the_tiles_before():
    tiles = np.arange(81).reshape(9, 9)[::-1, ::-1]  # the tile (0, 0) has most
    maps = np.zeros((1, SIZE, SIZE))
    maps[0, 1:, 1:] = np.kron(tiles, np.ones((SIDE, SIDE)))
    for place, tile in ((0, (0, 0)), (3, (0, 3)), (4, (0, 4)), (80, (8, 8))):
        found = figures_of(maps, np.array([tile]))
        assert found["rank"] == pytest.approx(1 - place / 80)
        assert (found["top1"], found["top5"]) == (place == 0, place < 4)


def test_cells_without_a_number_are_left_out():
    one = np.array([[1.0, 3.0], [np.nan, 5.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(cell_means(one, np.ones((3, 2))), [[2, 5], [1, 1]])


def test_the_interval_takes_cells_not_seeds(rng):
    """Seeds that repeat a cell's value add nothing to what is known."""
    values = rng.normal(size=(30, 1))
    once = interval(np.mean, values, rng=np.random.default_rng(1))
    often = interval(np.mean, np.repeat(values, 9, axis=1), rng=np.random.default_rng(1))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))
    assert once.high - once.low == pytest.approx(2 * 1.96 * values.std() / 30**0.5, rel=0.1)


def test_the_interval_holds_the_truth_as_often_as_it_says(rng):
    found = [interval(np.mean, rng.normal(size=(20, 2)), rng=rng) for _ in range(60)]
    assert 0.85 < np.mean([each.low < 0 < each.high for each in found]) <= 1


def test_few_cells_have_a_value_but_no_interval(rng):
    found = interval(np.mean, np.arange(8.0).reshape(4, 2), rng=rng)
    assert found.value == 3.5 and found.rounded() == [3.5, None, None]


def test_halves_and_ranks():
    by, values = np.array([3.0, 1, 2, 5, 4]), np.array([30.0, 10, 20, 50, 40])
    assert half_means(by, values) == (15, 45)
    assert spearman(by, values) == pytest.approx(1) and spearman(by, -values) == pytest.approx(-1)
    assert np.isnan(spearman(by, np.ones(5)))


def test_reliability_is_how_far_seeds_agree(rng):
    cells = np.arange(10.0)[:, None]
    assert reliability(cells + np.array([0.0, 5, -3])) == pytest.approx(1)
    assert reliability(rng.normal(size=(500, 3))) < 0.3
    assert 0.6 < reliability(rng.normal(size=(500, 1)) + rng.normal(size=(500, 3))) < 0.9
