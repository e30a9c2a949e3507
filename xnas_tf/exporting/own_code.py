"""Finds the file of the user's code that an exported Keras model needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xnas_tf.storage.run import Run
from xnas_tf.utils.source_code import MAIN, changed_files, copyable_file, source_hashes


@dataclass(frozen=True)
class OwnCode:
    """The user's code that a Keras file needs.

    Attributes:
        file: The file to copy next to the model; None if nothing is to be copied.
        needs: Names of the other local modules and packages that are needed; these are never
            copied, as they could contain anything.
        problem: Why no file is copied; empty if one is, or if no file is needed.
    """

    file: Path | None = None
    needs: tuple[str, ...] = ()
    problem: str = ""


def own_code(run: Run, module: str) -> OwnCode:
    """Return the file of the HyperModel's module, unless it has changed since the search.

    Args:
        run: The run, which recorded hashes of the code.
        module: Name of the module that defines the HyperModel.
    """
    hashes = source_hashes([], [module])
    packages = {name.partition(".")[0] for name in hashes}
    needs = tuple(sorted(packages - {module.partition(".")[0]}))
    file = copyable_file(module)
    if file is None:
        is_script = module in ("", MAIN)
        return OwnCode(None, needs, "" if is_script else f"{module} is in a package or installed")
    if changed_files(run.fact("code"), {module: hashes[module]}):
        return OwnCode(problem=f"{file.name} has changed since the search")
    return OwnCode(file, needs)
