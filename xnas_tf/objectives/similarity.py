"""Semantic similarity of classes, used as weights of class pairs."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives.wordnet import ambiguous_names, path_similarity

WORDNET = "wordnet"
"""The only similarity source that is not a file."""


@cache
def class_weights(source: str | None, class_names: tuple[str, ...]) -> np.ndarray | None:
    """Return the weights of class pairs, (classes, classes), or None for equal weights.

    The source is either ``wordnet``, which gives the ``path_similarity`` of the class names (used
    in the XNAS paper for ImageNet-16-120), or a CSV file. The file contains a matrix in the order
    of the classes, or a matrix in any order with the class names in the first line. The matrix must
    be symmetric and must not contain negative values. The source is read only once, so that the
    weights stay constant during a search; see ``read_class_weights``.

    Raises:
        InputError: If the file or WordNet is missing or doesn't match the classes.
    """
    if source is None:
        return None
    try:
        return path_similarity(class_names) if source == WORDNET else _from_csv(source, class_names)
    except InputError as error:
        raise InputError(f"objectives: introspectability: similarity: {source}: {error}") from error


def read_class_weights(source: str | None, class_names: tuple[str, ...]) -> None:
    """Read a file again at the beginning of a search, because it may have changed."""
    if source not in (None, WORDNET):
        class_weights.cache_clear()
    class_weights(source, class_names)


def similarity_notes(source: str | None, class_names: tuple[str, ...]) -> list[str]:
    """Return notes on the weights for the user, or raise the same errors as ``class_weights``."""
    class_weights(source, class_names)
    ambiguous = ambiguous_names(class_names) if source == WORDNET else []
    if not ambiguous:
        return []
    return [
        "similarity: wordnet: for nouns with several senses, the first is used; to use another, "
        f"name the class by its id in ImageNet: {', '.join(ambiguous)}"
    ]


def _from_csv(path: str, class_names: tuple[str, ...]) -> np.ndarray:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the file cannot be read: {error}") from error
    header = rows.pop(0) if rows and _is_header(rows[0], class_names) else None
    if header and all(row and row[0] in class_names for row in rows):
        row_names = [row[0] for row in rows]
        if row_names != header[-len(row_names) :]:
            raise InputError("lines and columns are in different orders")
        header, rows = row_names, [row[1:] for row in rows]
    try:
        matrix = np.array(rows, float)
    except ValueError as error:
        raise InputError(f"not a matrix of numbers: {error}") from error
    wanted = (len(class_names),) * 2
    if matrix.shape != wanted:
        raise InputError(f"a matrix of shape {matrix.shape}; allowed: {wanted}")
    if header is not None:
        for name in class_names:
            if name not in header:
                raise InputError(f"no column for class {suggest(name, header)}")
        order = [header.index(name) for name in class_names]
        matrix = matrix[np.ix_(order, order)]
    if not np.isfinite(matrix).all() or (matrix < 0).any() or not np.allclose(matrix, matrix.T):
        raise InputError("allowed: a symmetric matrix of numbers from 0")
    return matrix


def _is_header(cells: list[str], class_names: tuple[str, ...]) -> bool:
    """Return whether a line contains class names, which may be numbers."""
    known = set(class_names) & set(cells)
    return known == set(class_names) or any(not name.isdecimal() for name in known)
