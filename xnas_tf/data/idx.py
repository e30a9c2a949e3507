"""IDX files, the format in which MNIST, Fashion-MNIST, KMNIST and EMNIST are published."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from itertools import chain
from math import prod
from pathlib import Path

import numpy as np

from xnas_tf.data.builtin import FASHION
from xnas_tf.data.image_files import where
from xnas_tf.data.image_list import ImageFiles, ImageList, row_names
from xnas_tf.errors import InputError, suggest

_FILE = re.compile(
    r"(?:(?P<prefix>.+)-)?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?"
)
_AXES = {"images": 3, "labels": 1}
_BYTES = 8
"""The code for unsigned bytes, in the third byte of a file."""


def idx(argument: str) -> ImageFiles:
    """Find ``train-images-idx3-ubyte`` and the like in a folder, with or without ``.gz``.

    Files named ``t10k-…`` or ``test-…`` form the test split. If a folder has files of several data
    sets, as EMNIST's does, the argument ends with the prefix of the files to read, for example
    ``FOLDER/emnist-letters``.
    """
    name, path = f"data set idx:{argument}", Path(os.path.expanduser(argument or "."))
    folder, prefix = (path, None) if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        raise InputError(f"{name}: there is no such folder{where(folder)}")
    prefix, found = _choose(folder, prefix, name)
    pairs = {"": _pair(found, "train", prefix, name)}
    if test := next((part for part, _ in found if part != "train"), None):
        pairs["test"] = _pair(found, test, prefix, name)
    is_fashion, is_emnist = _is_fashion(folder, prefix), prefix.startswith("emnist")
    listing = partial(_list_images, pairs, is_fashion, is_emnist, name)
    root = f"idx {folder.resolve()}, fashion: {is_fashion}, emnist: {is_emnist}"
    return ImageFiles(list(chain(*pairs.values())), listing, root, mirrored=is_fashion)


def _is_fashion(folder: Path, prefix: str) -> bool:
    """Return whether a name, such as ``FashionMNIST/raw``, refers to Fashion-MNIST."""
    folder = folder.resolve()
    named = prefix or (folder.parent if folder.name == "raw" else folder).name
    return "fashion" in named.lower()


def _pair(
    found: Mapping[tuple[str, str], Path], part: str, prefix: str, name: str
) -> tuple[Path, Path]:
    """Return the image file and the label file of a split."""
    for kind, axes in _AXES.items():
        if (part, kind) not in found:
            wanted = "-".join(filter(None, (prefix, part, kind, f"idx{axes}-ubyte")))
            raise InputError(f"{name}: there is no {wanted}, with or without .gz")
    return found[part, "images"], found[part, "labels"]


def _choose(folder: Path, prefix: str | None, name: str) -> tuple[str, dict[tuple[str, str], Path]]:
    """Return the prefix of the files to read, and the files by split and kind."""
    sets: dict[str, dict[tuple[str, str], Path]] = defaultdict(dict)
    for file in sorted(folder.iterdir()):  # a file comes before its .gz version
        if match := _FILE.fullmatch(file.name):
            sets[match["prefix"] or ""].setdefault((match["part"], match["kind"]), file)
    if prefix is None:
        prefix = "" if "" in sets or len(sets) != 1 else next(iter(sets))
    if prefix in sets:
        return prefix, sets[prefix]
    if not sets:
        raise InputError(
            f"{name}: {folder} has no IDX files; wanted: train-images-idx3-ubyte and "
            "train-labels-idx1-ubyte, with or without .gz"
        )
    forms = [f"idx:{folder / each}" for each in sets]
    if not prefix:
        raise InputError(f"{name} has several data sets; allowed: {', '.join(forms)}")
    raise InputError(f"{name}: there are no such files: {suggest(f'idx:{folder / prefix}', forms)}")


def _list_images(
    pairs: Mapping[str, tuple[Path, Path]], is_fashion: bool, is_emnist: bool, name: str
) -> ImageList:
    images, labels = zip(*(_read_pair(*pair, name) for pair in pairs.values()), strict=True)
    files = [file.name for file, _ in pairs.values()]
    for file, each in zip(files, images, strict=True):
        if each.shape[1:] != images[0].shape[1:]:
            raise InputError(
                f"{name}: images of {file} are {each.shape[1:]}, the others {images[0].shape[1:]}"
            )
    numbers, encoded = np.unique(np.concatenate(labels), return_inverse=True)
    has_names = is_fashion and numbers[-1] < len(FASHION)
    upright = [each.transpose(0, 2, 1) if is_emnist else each for each in images]
    return ImageList(
        row_names(files, map(range, map(len, images))),
        encoded.astype(np.int32),
        tuple(FASHION[each] if has_names else str(each) for each in numbers),
        lambda: chain.from_iterable(upright),
        parts=np.repeat(list(pairs), list(map(len, images))),
    )


def _read_pair(file: Path, other: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a split."""
    images, labels = _read(file, "images", name), _read(other, "labels", name)
    if len(images) != len(labels) or not images.size:
        raise InputError(
            f"{name}: {file.name} has {len(images)} images, but {other.name} has {len(labels)} "
            "labels"
        )
    return images, labels


def _read(file: Path, kind: str, name: str) -> np.ndarray:
    """Return the array in a file, memory-mapped unless the file is compressed."""
    try:
        if file.suffix == ".gz":
            content = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8)
        else:
            content = np.asarray(np.memmap(file, np.uint8, "r"))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{name}: {file.name} is truncated or cannot be read: {error}") from error
    axes = _AXES[kind]
    begin = 4 + 4 * axes
    if content[:4].tolist() != [0, 0, _BYTES, axes] or len(content) < begin:
        raise InputError(
            f"{name}: {file.name} is not an IDX file of {kind}: it begins with "
            f"{content[:4].tolist()}; wanted: {[0, 0, _BYTES, axes]} and {axes} lengths"
        )
    shape = content[4:begin].copy().view(">u4").tolist()
    if len(content) != begin + prod(shape):
        raise InputError(
            f"{name}: {file.name} is truncated or broken: it has {len(content):,} bytes; wanted: "
            f"{begin + prod(shape):,}, for shape {tuple(shape)}"
        )
    return content[begin:].reshape(shape)
