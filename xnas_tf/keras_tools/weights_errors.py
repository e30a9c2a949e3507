"""Explains errors of Keras about weights that cannot be downloaded, are missing, or do not fit."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from xnas_tf.errors import suggest
from xnas_tf.utils.number_format import counted

_SUFFIXES = (".h5", ".hdf5", ".keras")
"""Suffixes of files of weights."""
_OBJECTS = re.compile(r"A total of (\d+) objects could not be loaded\. Example .*? name=([^,>]+)")
"""The first line of Keras' message about a ``.weights.h5`` file."""
_VARIABLES = re.compile(
    r"expected (\d+) variables, but received (\d+) variables during loading\. Expected: \[(.*)\]"
)
_SHAPES = re.compile(r"variable\.shape=(\([^)]*\)), Received: value\.shape=(\([^)]*\))")
_OLD_SHAPES = re.compile(
    r"Shape mismatch in .*?weight (\S+)\. Weight expects shape (\([^)]*\))\. "
    r"Received saved weight with shape (\([^)]*\))"
)
_OLD_COUNT = re.compile(
    r"Weight count mismatch for layer #\d+ \(named ([^\s,)]+).*?"
    r"expects (\d+) weight\(s\)\. Received (\d+)"
)
_OLD_LAYERS = re.compile(
    r"Layer count mismatch when loading weights .*? expected (\d+) layers, found (\d+)"
)
"""Messages about an older ``.h5`` file."""
_UNREADABLE = re.compile(r"Unable to (?:synchronously )?open file \((.+)\)")
"""A message of HDF5 about a file that it cannot read."""
_NOT_DOWNLOADED = re.compile(r"URL fetch failure on (\S+): ")
_REFUSED = re.compile(r"to the weights file to be loaded\.\s+Received:?\s+`?weights=(.+?)`?\s*$")
"""A message of ``keras.applications`` with the given weights. Some networks do not repeat them."""
_NO_FILE = re.compile(r"unable to open file: name = '(.+?)', errno = 2,")
"""A message of HDF5 with the name of a file that does not exist."""
_RANDOM = "to start from random weights, None (null in YAML)"


def explain_weights(error: BaseException) -> str:
    """Say which weights are missing or do not fit; return an empty string for other errors."""
    if missing := explain_missing_weights(error):
        return missing
    file = next(_files_in(error), None)
    if mismatch := _mismatch(str(error)):
        return (
            f"the weights file{f' {file}' if file else ''} does not fit the network: {mismatch}. "
            "It belongs to another network, or to the same one in another size (such as with "
            "another `alpha`) or with another head"
        )
    if file and (found := _UNREADABLE.search(str(error))):
        return f"the weights file {file} is damaged, or is not an HDF5 file ({found[1]})"
    return ""


def _mismatch(text: str) -> str:
    """Describe the first weights that do not fit; return an empty string for other messages."""
    if found := _OLD_SHAPES.search(text):
        name = "/".join(found[1].split("/")[-2:])  # of the layer and of its weights
        return _of_shapes(name, found[2], found[3])
    if found := _OLD_COUNT.search(text):
        name, wanted, given = found.groups()
        return _of_counts(name, int(wanted), int(given))
    if found := _OLD_LAYERS.search(text):
        return f"the network has {found[1]} layers with weights, but the file has {found[2]}"
    if not (found := _OBJECTS.search(text)):
        return ""
    others = int(found[1]) - 1
    verb = "differs" if others == 1 else "differ"
    more = f"; {counted(others, 'other layer')} {verb} too" if others else ""
    if shapes := _SHAPES.search(text):
        return _of_shapes(found[2], *shapes.groups()) + more
    if counts := _VARIABLES.search(text):
        named = f" ({counts[3].replace(chr(39), '')})"
        return _of_counts(found[2], int(counts[1]), int(counts[2]), named) + more
    return f"the weights of layer {found[2]!r} differ{more}"


def _of_shapes(name: str, wanted: str, given: str) -> str:
    return f"{name!r} needs weights of shape {wanted}, but the file has {given}"


def _of_counts(name: str, wanted: int, given: int, names: str = "") -> str:
    need = f"layer {name!r} needs {counted(wanted, 'array')} of weights{names}"
    return f"{need}, but the file has {given or 'none'}"


def _files_in(error: BaseException) -> Iterator[Path]:
    """Yield the weights files named in the local variables of a traceback, innermost first."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in _flat(frame.f_locals.values()):
            if isinstance(value, str | Path) and str(value).endswith(_SUFFIXES):
                if os.path.isfile(value):  # unlike Path.is_file, never raises
                    yield Path(value).absolute()


def _flat(values: Any) -> Iterator[Any]:
    """Yield the values, and those inside arguments of functions."""
    for value in values:
        if isinstance(value, tuple):
            yield from value
        elif isinstance(value, dict):  # other mappings may be files that are closed
            yield from value.values()
        else:
            yield value


def explain_missing_weights(error: BaseException) -> str:
    """Say which weights are missing and what to do; return an empty string for other errors."""
    text = str(error)
    if found := _NOT_DOWNLOADED.search(text):
        return f"{text}. {_how_to_copy(found[1])}"
    found = _REFUSED.search(text) or _NO_FILE.search(text)
    if not found or os.path.isfile(found[1]):
        return ""
    given, is_refused = found[1], found.re is _REFUSED
    path = Path(given)
    if is_refused and path.name == given and not path.suffix:
        unknown = suggest(given, ["imagenet"])
        return f"unknown weights {unknown}. Or give the path of a file with weights or, {_RANDOM}"
    if not is_refused and not given.endswith(".weights.h5"):
        return f"there is no file {path.absolute()}"
    named = ", 'imagenet'" if is_refused else ""
    missing = f"there is no weights file {path.absolute()}"
    return f"{missing}. Give the path of a file with weights{named} or, {_RANDOM}"


def stored_weights(name: str) -> Path:
    """Return the path of the file that Keras downloads for a network of ``keras.applications``."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / name


def _how_to_copy(address: str) -> str:
    if "/keras-applications/" not in address:  # Keras stores these in the folder `models`
        return "Download it on another machine, and load it from a file"
    target = stored_weights(PurePosixPath(address).name)
    return (
        "Without a network connection, download that file on another machine and copy it to "
        f"{target}. If the HyperModel has an option `weights`, you may also set "
        "space.options.weights to the path of another file, or to null to start from random weights"
    )
