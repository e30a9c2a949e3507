"""Explains errors of Keras about weights that cannot be downloaded or do not exist."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from xnas_tf.errors import suggest

_NOT_DOWNLOADED = re.compile(r"URL fetch failure on (\S+): ")
_APPLICATIONS = "/keras-applications/"
"""Part of the address of weights that Keras stores in the folder ``models`` of its home."""
_REFUSED = re.compile(r"to the weights file to be loaded\.\s+Received:?\s+`?weights=(.+?)`?\s*$")
"""A message of ``keras.applications`` with the given weights. Some networks do not repeat them."""
_PUBLISHED = ("imagenet",)
"""Names of weights that ``keras.applications`` downloads."""
_NO_FILE = re.compile(r"unable to open file: name = '(.+?)', errno = 2,")
"""A message of HDF5 with the name of a file that does not exist."""
_OF_WEIGHTS = ".weights.h5"
"""How names of Keras' files of weights end."""
_RANDOM = "to start from random weights, None (null in YAML)"


def explain_missing_weights(error: BaseException) -> str:
    """Say which weights are missing and what to do; return an empty string for other errors."""
    text = str(error)
    if found := _NOT_DOWNLOADED.search(text):
        return f"{text}. {_how_to_copy(found[1])}"
    if (found := _REFUSED.search(text)) and not os.path.isfile(found[1]):
        return _explain_refused(found[1])
    if (found := _NO_FILE.search(text)) and not os.path.isfile(found[1]):
        path = Path(found[1]).absolute()
        if not path.name.endswith(_OF_WEIGHTS):
            return f"there is no file {path}"
        return (
            f"there is no weights file {path}. Give the path of a file with weights or, {_RANDOM}"
        )
    return ""


def _explain_refused(given: str) -> str:
    path = Path(given)
    if path.suffix or path.name != given:
        names = " or ".join(map(repr, _PUBLISHED))
        return (
            f"there is no weights file {path.absolute()}. Give the path of a file with weights, "
            f"{names} or, {_RANDOM}"
        )
    return (
        f"unknown weights {suggest(given, _PUBLISHED)}. Or give the path of a file with weights "
        f"or, {_RANDOM}"
    )


def stored_weights(name: str) -> Path:
    """Return the path of the file that Keras downloads for a network of ``keras.applications``."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / name


def _how_to_copy(address: str) -> str:
    if _APPLICATIONS not in address:
        return "Download it on another machine, and load it from a file"
    target = stored_weights(PurePosixPath(address).name)
    return (
        "Without a network connection, download that file on another machine and copy it to "
        f"{target}. If the HyperModel has an option `weights`, you may also set "
        "space.options.weights to the path of another file, or to null to start from random weights"
    )
