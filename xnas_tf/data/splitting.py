"""Splits images into train, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np

from xnas_tf.data.image_list import SPLITS
from xnas_tf.data.quality import join_names
from xnas_tf.errors import InputError


def split(
    labels: np.ndarray,
    class_names: Sequence[str],
    shares: dict[str, float],
    seed: int,
    name: str,
    groups: np.ndarray | None = None,
    given: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Split images, with the same share of every class as far as groups allow.

    Splits that are given are kept; the others are split off from the remaining images.

    Args:
        labels: Class numbers, (N,).
        class_names: Names of the classes, for messages.
        shares: Share of ``validation`` and, if that is to be split off, of ``test``, relative to
            the images that are not in a given split.
        seed: Seed of the split.
        name: Name of the data set, for messages.
        groups: Group of each image, (N,), empty if none.
        given: Split of each image, (N,), empty if not given.

    Returns:
        Sorted indices of the images of each split.

    Raises:
        InputError: If there are too few images or groups, the train split lacks a class, or
            given splits share a group.
    """
    given = np.full(len(labels), "") if given is None else given
    groups = None if groups is None else _number_groups(groups)
    rows = {part: np.flatnonzero(given == part) for part in SPLITS[1:]}
    rows = {part: found for part, found in rows.items() if len(found)}
    rest = np.flatnonzero(~np.isin(given, list(rows)))
    _check_groups(groups, {**rows, "train": rest}, name)
    validation = shares["validation"]
    split_off = partial(_split_off, labels, class_names, groups, name)
    if "test" in shares and "test" not in rows:
        rest, rows["test"] = split_off(rest, shares["test"], seed, "test")
        validation /= 1 - shares["test"]
    if "validation" not in rows:
        rest, rows["validation"] = split_off(rest, validation, seed + 1, "validation")
    rows["train"] = rest
    _check_classes(labels, class_names, rest, name)
    return rows


def _number_groups(groups: np.ndarray) -> np.ndarray:
    """Return a number for each group; each image without a group gets its own."""
    _, numbers = np.unique(groups, return_inverse=True)
    alone = np.flatnonzero(groups == "")
    numbers[alone] = len(groups) + np.arange(len(alone))
    return numbers


def _split_off(
    labels: np.ndarray,
    class_names: Sequence[str],
    groups: np.ndarray | None,
    name: str,
    rows: np.ndarray,
    share: float,
    seed: int,
    part: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Split off a share of the rows, the same share of every class."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - heavy

    try:
        if groups is not None:
            return _split_groups(labels, class_names, groups, rows, share, seed)
        kept, taken = train_test_split(
            np.arange(len(rows)), test_size=share, random_state=seed, stratify=labels[rows]
        )
    except ValueError as error:
        raise InputError(
            f"data set {name}: {len(rows)} images are too few to split off a {part} split of "
            f"{share:.0%} with every class in it: {error}"
        ) from error
    return rows[np.sort(kept)], rows[np.sort(taken)]


def _split_groups(
    labels: np.ndarray,
    class_names: Sequence[str],
    groups: np.ndarray,
    rows: np.ndarray,
    share: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Split off groups, large ones first, if they bring the classes nearer to their share.

    scikit-learn's ``StratifiedGroupKFold`` makes folds that lack a class: with 20 groups of one
    image, seven of them of one class, one of five folds had none of that class.
    """
    present, label = np.unique(labels[rows], return_inverse=True)
    _, group_of = np.unique(groups[rows], return_inverse=True)
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
    return rows[~chosen[group_of]], rows[chosen[group_of]]


def _check_classes(
    labels: np.ndarray, class_names: Sequence[str], train: np.ndarray, name: str
) -> None:
    missing = np.setdiff1d(labels, labels[train])
    if missing.size:
        raise InputError(
            f"data set {name}: no images to train on of the classes "
            f"{join_names(class_names[number] for number in missing)}"
        )


def _check_groups(groups: np.ndarray | None, rows: dict[str, np.ndarray], name: str) -> None:
    if groups is None:
        return
    for part, other in combinations(rows, 2):
        shared = np.intersect1d(groups[rows[part]], groups[rows[other]])
        if shared.size:
            raise InputError(
                f"data set {name}: {shared.size} groups have images in {part} and in {other}, "
                "which leaks"
            )
