"""Finds the files of a class in its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

_NO_DATA = ("__MACOSX", "@eaDir", "__pycache__")
"""Folders that macOS, Synology NAS devices and Python create."""


def is_hidden(name: str) -> bool:
    """Return whether a name shows that a file or folder is not data (``.ipynb_checkpoints``)."""
    return name.startswith(".") or name in _NO_DATA


@dataclass
class ClassFolder:
    """The visible files of a class, at any depth, ordered by path, and what is left out.

    ``hidden`` are folders that are not data; ``repeated`` are links to what is already in the
    class.
    """

    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    repeated: list[Path] = field(default_factory=list)


def walk(root: Path) -> ClassFolder:
    """Find all files of a class. Links are followed, but no file is listed twice."""
    found = ClassFolder()
    seen: set[str] = set()
    file_links: list[Path] = []
    tops = [root]
    for top in tops:  # grows: links to folders are appended, after their possible targets
        if top is not root and _contains(top, root):
            found.repeated.append(top)
            continue
        for parent, folders, names in os.walk(top, onerror=_refuse):
            here = Path(os.path.realpath(parent))
            if str(here) in seen:
                found.repeated.append(Path(parent))
                folders.clear()
                continue
            seen.add(str(here))
            found.hidden += [Path(parent, name) for name in folders if is_hidden(name)]
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            tops += [path for path in (Path(parent, name) for name in folders) if path.is_symlink()]
            for path in (Path(parent, name) for name in names if not is_hidden(name)):
                if path.is_symlink():
                    file_links.append(path)
                else:
                    found.files.append(path)
    for link in sorted(file_links):
        target = Path(os.path.realpath(link))
        is_there = str(target.parent) in seen and target.is_file() and not is_hidden(target.name)
        (found.repeated if is_there or str(target) in seen else found.files).append(link)
        seen.add(str(target))
    found.files.sort(key=lambda file: file.relative_to(root).as_posix())
    return found


def _contains(folder: Path, other: Path) -> bool:
    return Path(os.path.realpath(other)).is_relative_to(os.path.realpath(folder))


def _refuse(error: OSError) -> None:
    raise error
