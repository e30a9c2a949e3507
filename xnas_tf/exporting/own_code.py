"""Finds the file of the user's code that an exported Keras model needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.utils.source_code import MAIN, copyable_file, source_hashes


@dataclass(frozen=True)
class OwnCode:
    """The user's code that a Keras file needs.

    Attributes:
        file: The file to copy next to the model; None if nothing is to be copied.
        needs: Names of the other local modules and packages that are needed; these are never
            copied, as they could contain anything.
        problem: Why no file is copied; empty if one is, or if no file is needed.
        has_changed: Whether the reason is that the code is not that of the training.
    """

    file: Path | None = None
    needs: tuple[str, ...] = ()
    problem: str = ""
    has_changed: bool = False


def own_code(chosen: ExportSelection) -> OwnCode:
    """Return the file of the HyperModel's module, unless the code has changed since the training.

    The code includes the local modules that this module imports.
    """
    module = chosen.candidate.module
    hashes = source_hashes([], [module])
    if changes := chosen.changed_code(hashes):
        return OwnCode(problem=changes, has_changed=True)
    packages = {name.partition(".")[0] for name in hashes}
    needs = tuple(sorted(packages - {module.partition(".")[0]}))
    file = copyable_file(module)
    if file is None:
        is_script = module in ("", MAIN)
        return OwnCode(None, needs, "" if is_script else f"{module} is in a package or installed")
    return OwnCode(file, needs)
