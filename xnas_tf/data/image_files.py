"""Image files in folders, one folder per class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NamedTuple

from xnas_tf.data.class_folder import ClassFolder, is_hidden, walk
from xnas_tf.data.decoding import SUFFIXES, is_image
from xnas_tf.data.image_list import ImageFiles, ImageList, encode_labels, split_name, split_names
from xnas_tf.data.quality import Findings, join_names
from xnas_tf.errors import InputError

_LOOSE = "in no class folder, left out"


class _Layout(NamedTuple):
    """The class folders, whether they are in split folders, and the paths left out, by reason."""

    classes: Sequence[Path]
    has_splits: bool
    left_out: dict[str, Sequence[Path]]


def folder(argument: str) -> ImageFiles:
    """Find the images in a folder with one folder per class.

    The class folders may also be inside ``train``, ``validation`` and ``test``. Images without an
    image suffix are recognised by their content. Hidden folders are left out.
    """
    root = Path(os.path.expanduser(argument or "."))
    name = f"data set folder:{argument}"
    if not root.is_dir():
        raise InputError(f"{name}: there is no such folder{where(root)}")
    try:
        layout = _layout(root, name)
        found = {each: walk(each) for each in layout.classes}
    except OSError as error:
        raise InputError(f"{name}: {error.filename} cannot be read: {error.strerror}") from error
    paths = {
        "hidden folder, left out": [path for own in found.values() for path in own.hidden],
        "link to a file or folder already listed, left out": [
            path for own in found.values() for path in own.repeated
        ],
        **layout.left_out,
    }
    left_out: dict[str, Sequence[str]] = {why: _relative(each, root) for why, each in paths.items()}
    names = sorted({_shown(each.name) for each in found})
    return ImageFiles(
        [file for own in found.values() for file in own.files],
        partial(_list_images, root, layout, found, left_out, name),
        f"{root.resolve()} {names} {left_out}",
    )


def _layout(root: Path, name: str) -> _Layout:
    tops = _folders(root)
    splits = [top for top in tops if split_name(top.name)]
    others = [top for top in tops if top not in splits]
    if not splits or (others and not any(map(_holds_classes, splits))):
        return _Layout(tops, False, _left_out([root], []))
    with_images = [top for top in others if any(map(_is_called_image, walk(top).files))]
    if with_images:
        raise InputError(
            f"{name}: {_listed(splits)} hold a folder per class, but {_listed(with_images)} next "
            "to them has images too; allowed: folders of splits, or folders of classes"
        )
    if not any(split_name(top.name) == "train" for top in splits):
        raise InputError(f"{name}: it has the folders {_listed(splits)}, but no folder train")
    classes = [each for top in splits for each in _folders(top)]
    return _Layout(classes, True, _left_out([root, *splits], others))


def _left_out(tops: Sequence[Path], others: Sequence[Path]) -> dict[str, Sequence[Path]]:
    """Return what is left out directly inside the folders around those of the classes."""
    inside = [path for top in tops for path in sorted(top.iterdir())]
    return {
        _LOOSE: [file for top in tops for file in _loose_images(top)],
        "link to nothing, left out": [
            path for path in inside if path.is_symlink() and not path.exists()
        ],
        "folder next to those of the splits, left out": others,
    }


def class_folders(root: Path) -> Sequence[Path]:
    """Return the class folders that contain images directly rather than in subfolders.

    If a split folder contains class folders, these are returned instead.
    """
    try:
        return [each for each in _layout(root, str(root)).classes if _loose_images(each)]
    except InputError:  # loading it reports the error
        return _folders(root)
    except OSError:
        return []


def _holds_classes(split: Path) -> bool:
    return bool(_folders(split)) and not _loose_images(split)


def _list_images(
    root: Path,
    layout: _Layout,
    found: Mapping[Path, ClassFolder],
    left_out: dict[str, Sequence[str]],
    name: str,
) -> ImageList:
    pairs = [(each, file, is_image(file)) for each, own in found.items() for file in own.files]
    images = [(each, file) for each, file, is_one in pairs if is_one]
    others = _by_suffix(file for _, file, is_one in pairs if not is_one)
    remarks = [f"files that are not images, left out: {others}"] if others else []
    if not images:
        loose = len(left_out[_LOOSE])
        raise InputError(
            f"{name}: no images in folders inside it; wanted: one folder per class, with files "
            f"such as {', '.join(SUFFIXES)}"
            + (f"; {loose} images are in no folder" if loose else "")
            + (f"; files that are not images: {others}" if others else "")
        )
    files = [file for _, file in images]
    names = {_shown(each.name) for each in found}
    labels, class_names = encode_labels([_shown(each.name) for each, _ in images])
    only, splits = images[0][0], [each.parent.name for each, _ in images]
    if len(class_names) == 1 and len(_folders(only)) > 1:
        raise InputError(
            f"{name}: all images are of one class, {class_names[0]}, which has the folders "
            f"{_listed(_folders(only))}; did you mean folder:{only}?"
        )
    if inner := _splits_inside(images):
        remarks.append(
            f"not used as splits, because they are inside the folders of classes: {inner}; put the "
            "folders of classes into those of the splits, as in train/cat"
        )
    return ImageList(
        _relative(files, root),
        labels,
        class_names,
        partial(iter, files),
        parts=split_names(splits, name) if layout.has_splits else None,
        findings=Findings(
            empty=tuple(sorted(names.difference(class_names))),
            ignored=len(pairs) - len(images),
            remarks=tuple(remarks),
            left_out=left_out,
        ),
    )


def _splits_inside(images: Iterable[tuple[Path, Path]]) -> str:
    """Return the names of splits among the folders between class folders and their images."""
    folders = {(each, file.parent) for each, file in images}
    parts = {part for each, folder in folders for part in folder.relative_to(each).parts}
    return join_names(sorted(_shown(part) for part in parts if split_name(part)))


def _folders(root: Path) -> list[Path]:
    """Return a folder's visible subfolders, sorted by name, except runs and folders of runs."""
    tops = (path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
    runs = ("run.sqlite", "*/run.sqlite")
    return sorted(top for top in tops if not any(any(top.glob(each)) for each in runs))


def _loose_images(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_file() and _is_called_image(path))


def _is_called_image(file: Path) -> bool:
    return not is_hidden(file.name) and file.suffix.lower() in SUFFIXES


def _relative(paths: Iterable[Path], root: Path) -> list[str]:
    return [_shown(path.relative_to(root)) for path in paths]


def _listed(folders: Iterable[Path]) -> str:
    return join_names(_shown(each.name) for each in folders)


def _by_suffix(files: Iterable[Path]) -> str:
    """Return the number of files per suffix, such as ``40 .heic, 2 without suffix``."""
    counts = Counter(_shown(file.suffix.lower()) or "without suffix" for file in files)
    return join_names(f"{count:,} {suffix}" for suffix, count in counts.most_common())


def _shown(path: str | Path) -> str:
    """Return a path as printable text, even if it is not valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def where(path: Path) -> str:
    """Return where a missing file or folder was looked for, and suggest a similar name."""
    place = "" if path.is_absolute() else f": {_shown(path.absolute())}"
    return f"{place}{near(path)}"


def near(path: Path) -> str:
    """Suggest a file or folder with a similar name in the same folder."""
    if not path.parent.is_dir():
        return ""
    names = [each.name for each in path.parent.iterdir() if each.is_dir() == (not path.suffix)]
    found = get_close_matches(path.name, sorted(names), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
