"""Properties of every split: parts disjoint, classes everywhere, groups whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnas_tf.data import load_dataset
from xnas_tf.data.splitting import split
from xnas_tf.errors import InputError

SHARES = {"validation": 0.2, "test": 0.2}


def divide(labels, groups=None, given=None, seed=0, shares=SHARES):
    names = [f"class {number}" for number in range(labels.max() + 1)]
    return split(labels, names, shares, seed, "pets", groups, given)


def rows_once(rows, count):
    transaction = np.concatenate(list(rows.values()))
    return np.array_equal(np.sort(transaction), np.arange(count))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(10, 60), min_size=2, max_size=6),
    st.floats(0.1, 0.4),
    st.floats(0.1, 0.4),
    st.integers(0, 2**31),
)
def test_without_groups_every_class_has_its_share_in_every_part(sizes, validation, test, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shares = {"validation": validation, "test": test}
    rows = divide(labels, seed=seed, shares=shares)
    assert rows_once(rows, len(labels)) and set(rows) == {"train", "validation", "test"}
    for part, share in shares.items():
        counts = np.bincount(labels[rows[part]], minlength=len(sizes))
        assert np.abs(counts - share * np.array(sizes)).max() < 2.5


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 60), st.integers(1, 6), st.integers(2, 3), st.integers(0, 1000))
def test_a_group_is_never_split(count, members, classes, seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"g{number}" for number in range(count)], members)
    labels = np.repeat(np.arange(count) % classes, members)
    order = rng.permutation(len(groups))
    groups, labels = groups[order], labels[order]
    rows = divide(labels, groups, seed=seed)
    assert rows_once(rows, len(labels))
    held = [set(groups[each]) for each in rows.values()]
    assert sum(map(len, held)) == count
    for part in SHARES:
        assert set(labels[rows[part]]) == set(range(classes))
        assert abs(len(rows[part]) / len(labels) - 0.2) < 0.1


def test_groups_of_one_class_stay_in_balance():
    labels = np.repeat(np.arange(40) % 2, 5)
    groups = np.repeat(np.arange(40), 5).astype(str)
    rows = divide(labels, groups)
    for part in rows:
        assert abs(labels[rows[part]].mean() - 0.5) < 0.07, part
    assert [len(each) for each in rows.values()] == [40, 40, 120]


def test_images_without_a_group_stand_alone():
    labels = np.arange(100) % 2
    rows = divide(labels, np.full(100, ""))
    assert {part: len(each) for part, each in rows.items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }


@settings(deadline=None, max_examples=20)
@given(st.sets(st.sampled_from(["validation", "test"]), min_size=1), st.integers(0, 100))
def test_given_parts_stay_as_they_are(parts, seed):
    labels = np.arange(120) % 3
    given_ = np.random.default_rng(seed).choice(["", "train", *parts], 120)
    rows = divide(labels, given=given_)
    assert rows_once(rows, 120)
    for part in parts:
        assert np.array_equal(rows[part], np.flatnonzero(given_ == part))


@settings(deadline=None, max_examples=20)
@given(st.sets(st.sampled_from(["validation", "test"]), max_size=1), st.integers(0, 100))
def test_images_given_for_training_are_trained_on(parts, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(240) % 3
    given_ = rng.choice(["", "train", *parts], 240)
    rows = divide(labels, given=given_)
    assert rows_once(rows, 240)
    assert np.isin(np.flatnonzero(given_ == "train"), rows["train"]).all()
    # So are all other images of their groups.
    groups = np.char.add("g", (np.arange(240) // 2).astype(str))
    given_ = np.where(np.isin(given_, list(parts)), "", given_)
    rows = divide(labels, groups, given_)
    assert rows_once(rows, 240)
    trained = groups[given_ == "train"]
    assert np.isin(np.flatnonzero(np.isin(groups, trained)), rows["train"]).all()


@pytest.mark.parametrize("groups", [None, np.arange(120).astype(str)])
def test_if_all_images_are_given_for_training_the_other_parts_are_drawn_from_them(groups):
    rows = divide(np.arange(120) % 3, groups, np.full(120, "train"))
    assert [len(rows[part]) for part in ("train", "validation", "test")] == [72, 24, 24]


def test_the_seed_decides():
    labels = np.arange(90) % 3
    first, again, other = (divide(labels, seed=seed)["test"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_class_that_is_never_trained_on_is_refused():
    given_ = np.array(["train"] * 10 + ["validation"] * 10 + ["test"] * 10)
    labels = np.array([0] * 5 + [1] * 5 + [0] * 10 + [2] * 10)
    with pytest.raises(InputError, match="no training images of the classes class 2"):
        divide(labels, given=given_)


def test_too_few_groups_are_refused():
    labels = np.arange(40) % 2
    with pytest.raises(InputError, match="class class 0 has too few groups"):
        divide(labels, np.full(40, "only"))
    with pytest.raises(InputError, match="class class 1 has too few groups"):
        divide(labels, np.where(labels == 1, "ones", np.arange(40).astype(str)))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["train", "test"], "test as given; by class"),
        (["train"], "by class"),
        (["train", "test", ""], "train, test as given; by class"),
        (["train", "validation", "test"], "train, validation, test as given; by class"),
    ],
)
def test_only_splits_that_are_kept_are_called_given(tmp_path, parts, text):
    images = np.random.default_rng(0).integers(0, 256, (120, 4, 4), np.uint8)
    labels, parts = np.arange(120) % 2, np.resize(np.repeat(parts, 2), 120)
    np.savez(tmp_path / "a.npz", x=images, y=labels, parts=parts)
    assert load_dataset(f"npz:{tmp_path / 'a.npz'}").how_split == text
