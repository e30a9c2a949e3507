"""Similarity of classes based on the lengths of paths between them in WordNet."""

from __future__ import annotations

import textwrap
from functools import cache
from importlib.resources import files

import numpy as np

from xnas_tf.errors import InputError
from xnas_tf.objectives.wordnet import WordNet

PACKAGED = "imagenet16_120_path_lengths.csv"
"""Path lengths between ImageNet-16-120's classes, from tools/imagenet16_120_path_lengths.py."""
MAX_UNKNOWN = 5
"""Maximum number of unknown classes to list, because finding the nearest noun takes almost 1 s."""


def path_similarity(class_names: tuple[str, ...]) -> np.ndarray:
    """Return 1 / (1 + path length) for each pair of classes, (classes, classes), at most 1.

    Classes are named by their ImageNet ids (``n02119789``) or by nouns, whose first sense is used.
    If all classes are ImageNet-16-120 classes, given by id or name, that data set's senses are
    used, and WordNet need not be installed. For example, ``tiger`` is then the animal, whereas
    WordNet's first sense is a person. The path length is the same as in nltk's ``path_similarity``.

    Raises:
        InputError: If WordNet is needed but not installed, or does not contain one of the classes.
    """
    if (rows := _packaged_rows(class_names)) is not None:
        lengths = _packaged()[1][np.ix_(rows, rows)]
    else:
        wordnet = WordNet()
        lengths = wordnet.path_lengths([found[0] for found in _senses(wordnet, class_names)])
    return 1 / (1 + lengths)


def ambiguous_names(class_names: tuple[str, ...]) -> list[str]:
    """For each name with several senses in WordNet, describe the sense that is used.

    Raises:
        InputError: See ``path_similarity``.
    """
    if _packaged_rows(class_names) is not None:
        return []
    wordnet = WordNet()
    return [
        f"{name} ({found[0]}: {textwrap.shorten(wordnet.gloss(found[0]), 60, placeholder=' …')})"
        for name, found in zip(class_names, _senses(wordnet, class_names), strict=True)
        if len(found) > 1
    ]


def _senses(wordnet: WordNet, class_names: tuple[str, ...]) -> list[list[str]]:
    senses = [wordnet.senses(name) for name in class_names]
    unknown = [name for name, found in zip(class_names, senses, strict=True) if not found]
    if unknown:
        more = f" and {len(unknown) - MAX_UNKNOWN} more" if len(unknown) > MAX_UNKNOWN else ""
        listed = ", ".join(_described(wordnet, name) for name in unknown[:MAX_UNKNOWN])
        raise InputError(
            f"WordNet 3.0 has no noun {listed}{more}; allowed: nouns, or ids such as n02119789; "
            "for other classes, give a CSV matrix"
        )
    return senses


def _described(wordnet: WordNet, name: str) -> str:
    near = wordnet.nearest(name)
    return f"{name!r} (did you mean {near!r}?)" if near else repr(name)


@cache
def _packaged() -> tuple[dict[str, int], np.ndarray]:
    """Return the row of each ImageNet-16-120 id and name, and the path lengths between rows."""
    lines = (files("xnas_tf.objectives") / PACKAGED).read_text("ascii").splitlines()
    table = [line.split(",") for line in lines if not line.startswith("#")]
    rows = {_folded(key): row for row, line in enumerate(table) for key in line[:2]}
    return rows, np.array([lengths for _, _, *lengths in table], int)


def _packaged_rows(class_names: tuple[str, ...]) -> list[int] | None:
    """Return the classes' rows in the packaged table, or None if the table lacks a class."""
    rows, names = _packaged()[0], [_folded(name) for name in class_names]
    return [rows[name] for name in names] if rows.keys() >= set(names) else None


def _folded(name: str) -> str:
    return name.lower().replace(" ", "_")
