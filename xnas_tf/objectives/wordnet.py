"""Similarity of classes in WordNet 3.0, read from its ``data.noun`` and ``index.noun`` files.

The manual page wndb(5WN) describes the format of these files. A synset (a sense of one or more
words) is identified by its ImageNet id, which is ``n`` followed by its byte offset in
``data.noun``, as in ``n02119789``.
"""

from __future__ import annotations

import difflib
import os
import re
import textwrap
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from xnas_tf.errors import InputError

PACKAGED = "imagenet16_120_path_lengths.csv"
"""Path lengths between ImageNet-16-120's classes, from tools/imagenet16_120_path_lengths.py."""
MAX_UNKNOWN = 5
"""Maximum number of unknown classes to list, because finding the nearest noun takes almost 1 s."""
DEBIAN_FOLDER = Path("/usr/share/wordnet")
_HYPERNYM = re.compile(rb" @i? (\d{8}) n ")
"""Symbols of pointers to hypernyms, including those from people or places to their classes."""
_ID = re.compile(r"n\d{8}")


class WordNet:
    """The nouns of the installed WordNet 3.0.

    The nouns are read from the folder given by WordNet's ``WNSEARCHDIR`` environment variable or,
    if that is not set, from Debian's ``wordnet-base`` package or nltk's data.

    Raises:
        InputError: If WordNet is not installed, or the installed version has different ids.
    """

    def __init__(self) -> None:
        self._data, self._index = _installed()
        if b"WordNet 3.0 Copyright" not in self._data[:2000]:
            raise InputError(
                "the installed WordNet is not version 3.0, and the ids of other versions differ"
            )

    def senses(self, name: str) -> list[str]:
        """Return the ids of a noun's senses, most frequent first, or nothing for an unknown noun.

        The only sense of an id is the id itself. Case is ignored, and underscores are treated as
        spaces.
        """
        if _ID.fullmatch(name):
            return [name] if self._line(name) else []
        start = self._index.find(f"\n{_folded(name)} n ".encode()) + 1
        if not start:
            return []
        fields = self._index[start : self._index.index(b"\n", start)].decode().split()
        return [f"n{offset}" for offset in fields[-int(fields[2]) :]]

    def gloss(self, synset: str) -> str:
        """Return the definition of a synset, followed by examples."""
        return self._line(synset).partition(b" | ")[2].decode().strip()

    def nearest(self, name: str) -> str | None:
        """Return the noun spelled most like an unknown noun, or None if none is close.

        The result is None for an id, because the closest id may belong to any noun.
        """
        if _ID.fullmatch(name):
            return None
        nouns = re.findall(r"^(\S+) n ", self._index.decode(), re.MULTILINE)
        return next(iter(difflib.get_close_matches(_folded(name), nouns, n=1, cutoff=0.8)), None)

    def path_lengths(self, synsets: list[str]) -> np.ndarray:
        """Return the lengths of the shortest paths between synsets, integers (synsets, synsets).

        A path goes up from one synset to a common hypernym and down to the other. All nouns have
        a common hypernym, ``entity``.
        """
        above = [self._hypernym_distances(synset) for synset in synsets]
        return np.array(
            [[min(a[s] + b[s] for s in a.keys() & b.keys()) for b in above] for a in above]
        )

    def _hypernym_distances(self, synset: str) -> dict[str, int]:
        """Return the distance to each direct or indirect hypernym, with 0 for the synset itself."""
        found: dict[str, int] = {}
        level, distance = {synset}, 0
        while level:
            found |= dict.fromkeys(level, distance)
            pointers = [_HYPERNYM.findall(self._line(each).partition(b" | ")[0]) for each in level]
            level = {f"n{offset.decode()}" for line in pointers for offset in line} - found.keys()
            distance += 1
        return found

    def _line(self, synset: str) -> bytes:
        """Return the synset's line in data.noun, or nothing if no line begins at its offset."""
        start = int(synset[1:])
        if self._data[start - 1 : start + 9] != b"\n" + synset[1:].encode() + b" ":
            return b""
        return self._data[start : self._data.index(b"\n", start)]


def _installed() -> tuple[bytes, bytes]:
    """Return the contents of data.noun and index.noun."""
    own = os.environ.get("WNSEARCHDIR")
    folder = Path(own) if own else DEBIAN_FOLDER
    try:
        if own or (folder / "data.noun").is_file():
            return (folder / "data.noun").read_bytes(), (folder / "index.noun").read_bytes()
        from nltk.data import find

        data, index = (find(f"corpora/wordnet/{part}.noun") for part in ("data", "index"))
        return data.open().read(), index.open().read()
    except (ImportError, LookupError, OSError) as error:
        where = f" in WNSEARCHDIR ({error})" if own else ""
        raise InputError(
            f"WordNet 3.0 was not found{where}; install Debian's package wordnet-base, or nltk "
            "(pip install nltk, then python -m nltk.downloader wordnet), or set WNSEARCHDIR to a "
            "folder with data.noun and index.noun"
        ) from error


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
    """For each name with several senses in WordNet, describe the sense that is used."""
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
        near = [(name, wordnet.nearest(name)) for name in unknown[:MAX_UNKNOWN]]
        listed = ", ".join(f"{n!r} (did you mean {m!r}?)" if m else repr(n) for n, m in near)
        raise InputError(
            f"WordNet 3.0 has no noun {listed}{more}; allowed: nouns, or ids such as n02119789; "
            "for other classes, give a CSV matrix"
        )
    return senses


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
