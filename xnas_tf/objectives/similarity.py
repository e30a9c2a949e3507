"""Semantic similarity of classes, as weights of class pairs."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

from xnas_tf.errors import InputError, suggest


@cache
def class_weights(source: str | None, class_names: tuple[str, ...]) -> np.ndarray | None:
    """Return weights of class pairs, (classes, classes), or None for equal weights.

    The source is ``wordnet`` for the path similarity of the class names (used in the XNAS paper
    for ImageNet-16-120), or a CSV file: a matrix in the order of the classes, or one with the
    class names in its first line, in any order. It must be symmetric and not negative. It is
    read once per process, so that the weights are constant during a search.

    Raises:
        InputError: If the file or WordNet is missing or doesn't fit the classes.
    """
    if source is None:
        return None
    weights = _wordnet(class_names) if source == "wordnet" else _from_csv(source, class_names)
    if not np.isfinite(weights).all() or (weights < 0).any() or not np.allclose(weights, weights.T):
        raise InputError(f"{_key(source)}: allowed: a symmetric matrix of numbers from 0")
    return weights


def _key(source: str) -> str:
    return f"objectives: introspectability: similarity: {source}"


def _from_csv(path: str, class_names: tuple[str, ...]) -> np.ndarray:
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{_key(path)}: the file cannot be read: {error}") from error
    header = rows.pop(0) if rows and _is_header(rows[0], class_names) else None
    if header and all(row and row[0] in class_names for row in rows):
        row_names = [row[0] for row in rows]
        if row_names != header[-len(row_names) :]:
            raise InputError(f"{_key(path)}: lines and columns are in different orders")
        header, rows = row_names, [row[1:] for row in rows]
    try:
        matrix = np.array(rows, float)
    except ValueError as error:
        raise InputError(f"{_key(path)}: not a matrix of numbers: {error}") from error
    wanted = (len(class_names),) * 2
    if matrix.shape != wanted:
        raise InputError(f"{_key(path)}: a matrix of shape {matrix.shape}; allowed: {wanted}")
    if header is None:
        return matrix
    for name in class_names:
        if name not in header:
            raise InputError(f"{_key(path)}: no column for class {suggest(name, header)}")
    order = [header.index(name) for name in class_names]
    return matrix[np.ix_(order, order)]


def _is_header(cells: list[str], class_names: tuple[str, ...]) -> bool:
    """Return whether a line contains class names, which may be numbers."""
    known = set(class_names) & set(cells)
    return known == set(class_names) or any(not name.isdecimal() for name in known)


def _wordnet(class_names: tuple[str, ...]) -> np.ndarray:
    """Return the path similarity of the first noun sense of each name."""
    try:
        from nltk.corpus import wordnet

        senses = [wordnet.synsets(name.replace(" ", "_"), pos="n") for name in class_names]
    except (ImportError, LookupError) as error:
        raise InputError(
            f"{_key('wordnet')}: nltk's WordNet is not installed: pip install nltk, then "
            "python -m nltk.downloader wordnet"
        ) from error
    unknown = [name for name, found in zip(class_names, senses, strict=True) if not found]
    if unknown:
        raise InputError(
            f"{_key('wordnet')}: WordNet knows no noun {', '.join(map(repr, unknown))}; "
            "give a CSV matrix instead"
        )
    first = [found[0] for found in senses]
    return np.array([[a.path_similarity(b) for b in first] for a in first], float)
