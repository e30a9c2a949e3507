"""Loads ImageNet-16-120 from the 16x16 image batches that its authors distribute.

The images are by Chrabaszcz, Loshchilov and Hutter (2017, arXiv 1707.08819). Their first 120
classes are used, as in NAS-Bench-201 (Dong and Yang 2020, arXiv 2001.00326).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from xnas_tf.data.image_files import where
from xnas_tf.data.image_list import ImageFiles, ImageList, row_names
from xnas_tf.data.quality import Findings
from xnas_tf.data.restricted_pickle import Refused, read_pickle
from xnas_tf.errors import InputError

CLASSES_FILE = Path(__file__).with_name("imagenet16_120_classes.txt")
"""WordNet 3.0 ID and name of each class, in the order of the labels."""
_SIDE = 16
_LABELS = 1000
"""Number of classes in the complete files; labels begin at 1."""
_COUNTS = {"train": 151_700, "test": 6_000}
"""Number of images of the 120 classes in the published files (NAS-Bench-201, section 2.2)."""
MD5 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}
"""The files, and their checksums as pickles, as in NAS-Bench-201's own loader."""
_HINT = (
    "Download the 16x16 images of ImageNet for training and validation from "
    "https://image-net.org/download-images (which needs an account) and unpack them into one "
    "folder: train_data_batch_1 to train_data_batch_10 and val_data, or the .npz versions"
)


def class_names_by_id() -> dict[str, str]:
    """Return the names of the 120 classes by WordNet ID, such as ``n02119789: kit_fox``."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines)  # type: ignore[misc]


def imagenet16_120(argument: str) -> ImageFiles:
    """Find ImageNet-16-120's pickle or ``.npz`` files in a folder.

    The published validation file is used as the test split.
    """
    name, folder = f"data set imagenet16_120:{argument}", Path(os.path.expanduser(argument))
    if not folder.is_dir():
        raise InputError(f"{name}: there is no such folder{where(folder)}. {_HINT}")
    found = {each: _existing(folder, each) for each in MD5}
    files = [file for file in found.values() if file]
    if len(files) < len(found):
        missing = ", ".join(each for each, file in found.items() if not file)
        raise InputError(f"{name}: it has no {missing}, with or without .npz. {_HINT}")
    root = f"imagenet16_120 {folder.resolve()}"
    return ImageFiles(files, partial(_list_images, files, name), root, mirrored=True)


def _existing(folder: Path, each: str) -> Path | None:
    return next((file for end in ("", ".npz") if (file := folder / (each + end)).is_file()), None)


def _list_images(files: Sequence[Path], name: str) -> ImageList:
    class_names = tuple(class_names_by_id().values())
    batches = [_read(file, len(class_names), name) for file in files]
    images, encoded, rows = zip(*batches, strict=True)
    counts, labels = list(map(len, encoded)), np.concatenate(encoded)
    for number, class_name in enumerate(class_names):
        if number not in labels:
            raise InputError(f"{name}: its files have no image of class {number + 1}, {class_name}")
    return ImageList(
        row_names((file.name for file in files), rows),
        labels,
        class_names,
        lambda: chain.from_iterable(images),
        parts=np.repeat(["test" if file.stem == "val_data" else "" for file in files], counts),
        findings=Findings(remarks=_remarks(files, {"train": sum(counts[:-1]), "test": counts[-1]})),
    )


def _read(file: Path, classes: int, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the images (N, 16, 16, 3) of these classes, labels from 0, and row numbers."""
    try:
        content = _read_npz(file) if file.suffix == ".npz" else read_pickle(file)
        data, labels = _checked(content, f"{name}: {file.name}")
    except InputError:
        raise
    except Refused as error:
        raise InputError(
            f"{name}: {file.name} is not the published file: it asks for {error}, which images do "
            "not need and which was not run"
        ) from error
    except Exception as error:  # a broken pickle may raise any exception
        raise InputError(
            f"{name}: {file.name} is truncated or cannot be read: {error}; if it is "
            "truncated, download it again"
        ) from error
    rows = np.flatnonzero(labels <= classes)
    planes = data[rows].reshape(-1, 3, _SIDE, _SIDE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return images, (labels[rows] - 1).astype(np.int32), rows


def _read_npz(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in ("data", "labels") if key in archive.files}


def _checked(content: object, where: str) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(content, dict) or not {"data", "labels"} <= set(content):
        given = ", ".join(map(str, content)) if isinstance(content, dict) else type(content)
        raise InputError(f"{where} has {given or 'nothing'}; wanted: data and labels")
    data, labels = content["data"], np.asarray(content["labels"])
    shape = (3 * _SIDE**2,)
    if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == shape):
        kind = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data)
        raise InputError(f"{where}: data are {kind}; wanted: uint8 (N, {shape[0]}), 16x16 images")
    if not len(data):
        raise InputError(f"{where} has no images")
    if labels.shape != (len(data),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{where}: labels are {labels.dtype} {labels.shape}; wanted: {len(data)} integers"
        )
    for extreme in (labels.min(), labels.max()):
        if not 1 <= extreme <= _LABELS:
            raise InputError(f"{where}: label {extreme} is out of range; wanted: 1 to {_LABELS}")
    return data, labels


def _remarks(files: Sequence[Path], counts: dict[str, int]) -> tuple[str, ...]:
    """Return how the files differ from the published ones.

    A difference is not an error: the public script that creates these files shuffles the images.
    """
    remarks = []
    pickles = [file for file in files if not file.suffix]
    if names := ", ".join(file.name for file in pickles if _md5(file) != MD5[file.name]):
        remarks.append(f"files whose MD5 checksums differ from the published ones: {names}")
    if counts != _COUNTS:
        given, published = (f"{each['train']:,} and {each['test']:,}" for each in (counts, _COUNTS))
        remarks.append(
            f"the files for training and validation have {given} images of the 120 classes; the "
            f"published ones have {published}"
        )
    return tuple(remarks)


def _md5(file: Path) -> str:
    hasher = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(2**20):
            hasher.update(chunk)
    return hasher.hexdigest()
