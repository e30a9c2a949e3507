"""Explains errors of Keras about weights that cannot be downloaded or do not exist."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

_NOT_DOWNLOADED = re.compile(r"URL fetch failure on (\S+): ")
_APPLICATIONS = "/keras-applications/"
"""Part of the address of weights that Keras stores in the folder ``models`` of its home."""
_NO_FILE = (
    re.compile(r"path to the weights file to be loaded\.\s+Received:?\s+weights=(.+)$"),
    re.compile(r"unable to open file: name = '(.+?)', errno = 2,"),
)
"""Messages of ``keras.applications`` and of HDF5 with the name of a file that does not exist."""


def explain_missing_weights(error: BaseException) -> str:
    """Say which weights are missing and what to do; return an empty string for other errors."""
    text = str(error)
    if found := _NOT_DOWNLOADED.search(text):
        return f"{text}. {_how_to_copy(found[1])}"
    for pattern in _NO_FILE:
        if (found := pattern.search(text)) and not Path(found[1]).is_file():
            return (
                f"there is no weights file {Path(found[1]).absolute()}. Give the path of a file "
                "with weights or, to start from random weights, None (null in YAML)"
            )
    return ""


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
