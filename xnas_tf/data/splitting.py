"""Which images go into which part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np

from xnas_tf.data.image_list import PARTS
from xnas_tf.data.quality import listed
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
    """Splits images into parts, the same share of every class, as well as groups allow.

    Parts that are given stay; the others are split off from the images for training.

    Args:
        labels: Class numbers, (N,).
        class_names: What the classes are called, for messages.
        shares: ``validation`` and, if a part for it is wanted, ``test``: shares of all images
            that are in neither as given.
        seed: Seed of the split.
        name: The data set's name, for messages.
        groups: What each image belongs with, nothing where it stands alone.
        given: The part each image is in, nothing where that is for training or to be split.

    Returns:
        Rows of each part, rising.

    Raises:
        InputError: If there are too few images or groups for that, a class is missing from
            the train part, or given parts share a group.
    """
    given = np.full(len(labels), "") if given is None else given
    groups = None if groups is None else _numbers(groups)
    rows = {part: np.flatnonzero(given == part) for part in PARTS[1:]}
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


def _numbers(groups: np.ndarray) -> np.ndarray:
    """Numbers for groups; each image without one is a group of its own."""
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
    what: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Splits ``share`` of the rows off, the same share of every class."""
    from sklearn.model_selection import train_test_split

    try:
        if groups is not None:
            return _split_groups(labels, class_names, groups, rows, share, seed)
        kept, taken = train_test_split(
            np.arange(len(rows)), test_size=share, random_state=seed, stratify=labels[rows]
        )
    except ValueError as error:
        raise InputError(
            f"data set {name}: {len(rows)} images are too few to split off a {what} part of "
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
    """Whole groups, large ones first: whichever brings the classes nearer to their share.

    scikit-learn's ``StratifiedGroupKFold`` makes folds that lack a class: of 20 groups of one
    image, seven of a class, one of its five had none of them.
    """
    _, mine = np.unique(labels[rows], return_inverse=True)
    _, own = np.unique(groups[rows], return_inverse=True)
    counts = np.zeros((own.max() + 1, mine.max() + 1))
    np.add.at(counts, (own, mine), 1)
    weights = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen, reached = np.zeros(len(counts), bool), np.zeros(counts.shape[1])
    for group in order:
        with_it = reached + weights[group]
        if np.sum((with_it - share) ** 2) < np.sum((reached - share) ** 2):
            chosen[group], reached = True, with_it
    for missing in np.flatnonzero(reached == 0):  # its groups are larger than its share
        if not counts[chosen, missing].any():
            having = order[counts[order, missing] > 0]
            chosen[having[-1]] = True
    left = np.flatnonzero(~(counts[~chosen].any(axis=0) & counts[chosen].any(axis=0)))
    if left.size:
        name = class_names[np.unique(labels[rows])[left[0]]]
        raise ValueError(f"class {name} has too few groups")
    return rows[~chosen[own]], rows[chosen[own]]


def _check_classes(
    labels: np.ndarray, class_names: Sequence[str], train: np.ndarray, name: str
) -> None:
    missing = np.setdiff1d(labels, labels[train])
    if missing.size:
        raise InputError(
            f"data set {name}: no images to train on of the classes "
            f"{listed(class_names[number] for number in missing)}"
        )


def _check_groups(groups: np.ndarray | None, rows: dict[str, np.ndarray], name: str) -> None:
    for part, other in combinations(rows, 2) if groups is not None else ():
        shared = np.intersect1d(groups[rows[part]], groups[rows[other]])
        if shared.size:
            raise InputError(
                f"data set {name}: {shared.size} groups have images in {part} and in {other}, "
                "which leaks"
            )
