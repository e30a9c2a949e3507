"""Loads exported models, and the code in their folders only if the user trusts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.model_files import load_model, missing_object
from xnas_tf.utils.source_code import MAIN


def load_exported(file: Path, module: str, safe: bool) -> keras.Model:
    """Load a Keras file that is not in a run.

    Args:
        file: The file.
        module: Name of the module that registers the model's layers, from the card of an export,
            which may come from somebody else; empty if there is none. It is imported from the
            card's folder, or is an installed module.
        safe: Whether to import no such module, and to reject models that contain Python code.

    Raises:
        InputError: If the model cannot be loaded, or another module of this name is imported.
    """
    if module in ("", MAIN) or module.startswith("xnas_tf."):
        return load_model(file, safe, module.removeprefix(MAIN))
    folder = file.resolve().parent
    code = folder / f"{module}.py"
    if not safe:
        _check_same(module, code)
        with _searched_first(folder):
            return load_model(file, safe, module)
    try:
        return load_model(file, safe)
    except InputError as error:
        if not (missing := missing_object(error.__cause__)):
            raise
        known = str(code) if code.is_file() else f"the module {module}"
        raise InputError(
            f"{file} cannot be loaded in safe mode: it needs the {missing}, which {known} should "
            "define. This code is imported only with --unsafe (in Python: safe=False), because it "
            "could do anything: read it first"
        ) from error


def _check_same(module: str, code: Path) -> None:
    """Reject an imported module with other code than the export's: Keras would use its layers."""
    imported = Path(getattr(sys.modules.get(module), "__file__", None) or code)
    if code.is_file() and imported.is_file() and imported.read_bytes() != code.read_bytes():
        raise InputError(
            f"{code} cannot be imported: another module {module} was imported from {imported}. "
            "Load the model in a new Python process"
        )


@contextmanager
def _searched_first(folder: Path) -> Iterator[None]:
    """Search a folder first for modules, before the current one."""
    before = list(sys.path)
    sys.path[:0] = [str(folder), os.getcwd()]
    try:
        yield
    finally:
        sys.path[:] = before
