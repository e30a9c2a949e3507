"""Which images go into which part."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np

from xnas_tf.data.findings import listed
from xnas_tf.data.listing import PARTS
from xnas_tf.errors import InputError

_FOLDS = 20
"""Folds of which some are the part split off, where groups stay together."""


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
    validation = shares["validation"]
    split_off = partial(_split_off, labels, class_names, groups, name)
    if "test" in shares and "test" not in rows:
        rest, rows["test"] = split_off(rest, shares["test"], seed, "test")
        validation /= 1 - shares["test"]
    if "validation" not in rows:
        rest, rows["validation"] = split_off(rest, validation, seed + 1, "validation")
    rows["train"] = rest
    _check(labels, class_names, groups, rows, name)
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
    """Whole groups, about the share of every class: as many folds of even ones as come near."""
    from sklearn.model_selection import StratifiedGroupKFold

    mine, own = labels[rows], groups[rows]
    folds = int(min(_FOLDS, len(np.unique(own)), np.bincount(mine).max()))
    if folds < 2:
        raise ValueError(f"all {len(rows)} images are of one group")
    folding = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of classes with fewer images than folds
        warnings.simplefilter("ignore", UserWarning)
        parts = [taken for _, taken in folding.split(rows, mine, own)]
    count = min(max(1, round(share * folds)), folds - 1)
    taken = np.zeros(len(rows), bool)
    taken[np.concatenate(parts[:count])] = True
    missing = set(np.unique(mine)) - set(np.unique(mine[taken])) & set(np.unique(mine[~taken]))
    if missing:
        raise ValueError(f"class {class_names[min(missing)]} has too few groups")
    return rows[~taken], rows[taken]


def _check(
    labels: np.ndarray,
    class_names: Sequence[str],
    groups: np.ndarray | None,
    rows: dict[str, np.ndarray],
    name: str,
) -> None:
    missing = np.setdiff1d(labels, labels[rows["train"]])
    if missing.size:
        raise InputError(
            f"data set {name}: no images to train on of the classes "
            f"{listed(class_names[number] for number in missing)}"
        )
    for part in rows if groups is not None else ():
        for other in rows:
            shared = np.intersect1d(groups[rows[part]], groups[rows[other]])
            if part < other and shared.size:
                raise InputError(
                    f"data set {name}: {shared.size} groups have images in {part} and in "
                    f"{other}, which leaks"
                )
