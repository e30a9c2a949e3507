"""Splits images into train, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from xnas_tf.data.image_list import SPLITS
from xnas_tf.data.quality import join_names
from xnas_tf.errors import InputError


def split(
    labels: np.ndarray,
    class_names: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
    name: str,
    groups: np.ndarray | None = None,
    given: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the sorted indices of the images in each split.

    Each split gets the same share of every class, as far as groups allow. Given splits are kept;
    the other splits are drawn from the remaining images. Only if each of these is given as
    ``train`` are they drawn from the training images. ``shares`` are those of ``validation`` and
    ``test`` in the images without a given split. ``groups`` and ``given`` name each image's group
    and split, or are empty.

    Raises:
        InputError: If there are too few images or groups, the train split lacks a class, or
            given splits share a group.
    """
    given = np.full(len(labels), "") if given is None else given
    rows = {part: np.flatnonzero(given == part) for part in SPLITS[1:] if part in given}
    rest = np.flatnonzero(~np.isin(given, list(rows)))
    is_kept = given[rest] == "train"
    if groups is not None:
        groups = _number_groups(groups)
        _check_groups(groups, {**rows, "train": rest}, name)
        is_kept = np.isin(groups[rest], groups[rest[is_kept]])
    is_kept &= not is_kept.all()
    kept, rest = rest[is_kept], rest[~is_kept]
    remaining = 1.0
    for number, part in enumerate(("test", "validation")):
        if part in rows:
            continue
        share = shares[part] / remaining
        try:
            if groups is None:
                taken = _draw(labels[rest], share, seed + number, class_names)
            else:
                taken = _draw_groups(labels[rest], groups[rest], share, seed + number, class_names)
        except ValueError as error:
            raise InputError(
                f"data set {name}: {len(rest)} images are too few to split off a {part} split of "
                f"{share:.0%} with every class in it: {error}"
            ) from error
        rows[part], rest = rest[taken], rest[~taken]
        remaining -= shares[part]
    train = np.sort(np.concatenate([kept, rest]))
    missing = np.setdiff1d(labels, labels[train])
    if missing.size:
        raise InputError(
            f"data set {name}: no training images of the classes "
            f"{join_names(class_names[number] for number in missing)}"
        )
    return {**rows, "train": train}


def _number_groups(groups: np.ndarray) -> np.ndarray:
    """Return a number for each group; each image without a group gets its own number."""
    _, numbers = np.unique(groups, return_inverse=True)
    alone = np.flatnonzero(groups == "")
    numbers[alone] = len(groups) + np.arange(len(alone))
    return numbers


def _check_groups(groups: np.ndarray, rows: dict[str, np.ndarray], name: str) -> None:
    for part, other in combinations(rows, 2):
        shared = np.intersect1d(groups[rows[part]], groups[rows[other]])
        if shared.size:
            raise InputError(
                f"data set {name}: {shared.size} groups have images both in {part} and in {other}, "
                "which would leak information"
            )


def _draw(labels: np.ndarray, share: float, seed: int, class_names: Sequence[str]) -> np.ndarray:
    """Return a mask that selects a random share of each class."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - heavy

    alone = [class_names[label] for label in np.flatnonzero(np.bincount(labels) == 1).tolist()]
    if alone:
        raise ValueError(f"a single image of class {join_names(alone)}; at least 2 are needed")
    indices = np.arange(len(labels))
    _, taken = train_test_split(indices, test_size=share, random_state=seed, stratify=labels)
    return np.isin(indices, taken)


def _draw_groups(
    labels: np.ndarray, groups: np.ndarray, share: float, seed: int, class_names: Sequence[str]
) -> np.ndarray:
    """Return a mask that selects groups, in order of size, to bring classes close to their share.

    scikit-learn's ``StratifiedGroupKFold`` can create folds that lack a class. For example, with 20
    groups of one image each, seven of them in one class, one of five folds contained no image of
    that class.
    """
    present, label = np.unique(labels, return_inverse=True)
    _, group_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((group_of.max() + 1, len(present)))
    np.add.at(counts, (group_of, label), 1)
    weights = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen, reached = np.zeros(len(counts), bool), np.zeros(counts.shape[1])
    for group in order:
        after = reached + weights[group]
        if np.sum((after - share) ** 2) < np.sum((reached - share) ** 2):
            chosen[group], reached = True, after
    for missing in np.flatnonzero(reached == 0):  # classes whose groups exceed their share
        if not counts[chosen, missing].any():
            containing = order[counts[order, missing] > 0]
            chosen[containing[-1]] = True
    lacking = np.flatnonzero(~(counts[~chosen].any(axis=0) & counts[chosen].any(axis=0)))
    if lacking.size:
        raise ValueError(f"class {class_names[present[lacking[0]]]} has too few groups")
    return chosen[group_of]
