"""Decodes image files once, into an array on disk that may be larger than memory.

The array's name in the cache directory is a hash of the settings and of the files' names, sizes and
modification times. If any of these change, another array is created.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from xnas_tf.data.dataset import Source
from xnas_tf.data.decoding import (
    DARK,
    Encoded,
    Look,
    Unreadable,
    full_scales,
    look_at,
    read_image,
)
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.data.image_list import ImageFiles, ImageList, match_groups
from xnas_tf.data.quality import Findings, join_names
from xnas_tf.errors import InputError, RunError
from xnas_tf.utils.cache_folder import cache_folder, host_lock
from xnas_tf.utils.number_format import counted
from xnas_tf.utils.output_folder import atomic_folder

LONGEST = 128
"""Maximum length of an image's longer side in pixels, if no size is given."""
STRETCH = 1.5
"""Factor by which an aspect ratio must differ from the usual one to be reported."""
_FORMAT = 7
"""Version of the stored files and of the decoding; increase it with each change."""
LISTING = "listing.npz"
"""Name of the file with the images' names, labels and hashes."""
_WINDOW = 64
"""Maximum number of images in memory."""
_ABANDONED = 24 * 3600
"""Age in seconds after which unfinished files left by a killed process are removed."""
T = TypeVar("T")
R = TypeVar("R")


class Reading(NamedTuple):
    """Options for reading image files; see the configuration's ``dataset`` section."""

    size: tuple[int, int] | None
    channels: int | None
    group: str | None
    max_corrupt: float
    classes: int | None


class _Decoded(NamedTuple):
    """Hash and properties of an image's pixels, and the reason why it cannot be decoded, if any."""

    digest: bytes
    is_grey: bool = False
    is_blank: bool = False
    highest: int = 0
    reason: str = ""


def load_image_files(
    files: ImageFiles, reading: Reading, name: str, log: Callable[[str], None]
) -> Source:
    """Load images from the cache, decoding their files into it first if necessary.

    Raises:
        InputError: If too many images cannot be decoded, or the cache cannot be written.
    """
    folder = cache_folder(f"images/{_key(files, reading)}")
    if not folder.exists():
        with host_lock("images"):
            if not folder.exists():
                _create(folder, files, reading, name, log)
    pixels, listing, findings = _load(folder)
    class_names = tuple(listing.pop("class_names").tolist())
    rows = np.flatnonzero([each not in findings.unreadable for each in listing["names"]])
    read = {key: values[rows] for key, values in listing.items()}
    _check_readable(findings, listing, read, class_names, reading.max_corrupt, name)
    names, groups = read["names"].tolist(), read.get("groups")
    if reading.group:
        if groups is not None:
            raise InputError(f"dataset.group: data set {name} has groups of its own")
        groups = match_groups(reading.group, names, name)
    return Source(
        DiskImages(pixels, listing["digests"], rows, folder / LISTING),
        read["labels"],
        class_names,
        mirrored=files.mirrored,
        groups=groups,
        parts=read.get("parts"),
        names=names,
        findings=findings,
    )


def _key(files: ImageFiles, reading: Reading) -> str:
    key = hashlib.blake2b(digest_size=16)
    settings = [_FORMAT, files.root, reading.size, reading.channels]
    if reading.classes is not None:
        settings.append(reading.classes)
    key.update(json.dumps(settings).encode())
    for file in files.files:
        stamp = 0, 0
        with suppress(OSError):  # reported when the file is read
            status = file.stat()
            stamp = status.st_size, status.st_mtime_ns
        key.update(json.dumps([os.fspath(file), *stamp]).encode())
    return key.hexdigest()


def _create(
    folder: Path, files: ImageFiles, reading: Reading, name: str, log: Callable[[str], None]
) -> None:
    with suppress(OSError):  # reported below, when the folder itself is created
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for draft in folder.parent.glob(f".{folder.name}-*"):
        if time.time() - draft.stat().st_mtime > _ABANDONED:
            shutil.rmtree(draft, ignore_errors=True)
    listing = files.listing()
    if reading.classes is not None:
        listing = listing.of_first_classes(reading.classes, name)
    log(f"data set {name}: decoding {counted(len(listing.names), 'image')} once, into {folder}")
    looks = list(_in_parallel(_look, listing.stream()))
    readable = [look for look in looks if isinstance(look, Look)]
    if not readable:
        bad = (f"{each} ({why})" for each, why in zip(listing.names, looks, strict=True))
        raise InputError(f"data set {name}: no image can be decoded: {join_names(bad)}")
    size = reading.size or usual_size(readable)
    channels = reading.channels or (1 if all(look.is_grey for look in readable) else 3)
    try:
        with atomic_folder(folder) as draft:
            shape = (len(looks), *size, channels)
            scales = full_scales(readable)
            decoded = _decode(draft / "images.npy", listing, shape, scales)
            _save(draft, listing, decoded, _findings(listing, looks, decoded, shape, scales))
    except (InputError, RunError) as error:
        if not folder.exists():  # another host may have created it in a shared directory
            hint = "; set XDG_CACHE_HOME to store decoded images elsewhere"
            raise InputError(f"data set {name}: {error}{hint}") from error


def _in_parallel(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the result of ``work`` for each item, in order, using threads.

    Pillow releases the GIL while it decodes.
    """
    items = iter(items)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        while window := list(islice(items, _WINDOW)):
            yield from pool.map(work, window)


def _look(encoded: Encoded) -> Look | str:
    try:
        return look_at(encoded)
    except Unreadable as error:
        return str(error)


def usual_size(looks: Sequence[Look]) -> tuple[int, int]:
    """Return the median height and width, reduced if the longer side exceeds 128 pixels."""
    height, width = np.median([look[:2] for look in looks], axis=0)
    scale = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _decode(
    file: Path, listing: ImageList, shape: tuple[int, int, int, int], scales: Mapping[str, int]
) -> list[_Decoded]:
    _, height, width, channels = shape
    array = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
    begin, length = array.offset, int(np.prod(shape[1:]))
    del array
    with file.open("r+b") as output:
        # A full disk raises an error here. Writing to a mapped file would cause a fatal signal.
        os.posix_fallocate(output.fileno(), 0, begin + length * shape[0])

        def work(item: tuple[int, Encoded]) -> _Decoded:
            row, encoded = item
            try:
                image = read_image(encoded, (height, width), channels, scales)
            except Unreadable as error:
                return _Decoded(bytes(16), reason=str(error))
            pixels = image.tobytes()
            os.pwrite(output.fileno(), pixels, begin + row * length)
            is_grey = bool((image == image[..., :1]).all())
            is_blank = bool((image == image[0, 0]).all())
            digest = hashlib.blake2b(pixels, digest_size=16).digest()
            return _Decoded(digest, is_grey, is_blank, int(image.max()))

        return list(_in_parallel(work, enumerate(listing.stream())))


def _findings(
    listing: ImageList,
    looks: Sequence[Look | str],
    decoded: Sequence[_Decoded],
    shape: tuple[int, int, int, int],
    scales: Mapping[str, int],
) -> Findings:
    _, *size, channels = shape
    found = list(zip(listing.names, looks, decoded, strict=True))
    known = {name: look for name, look, each in found if isinstance(look, Look) and not each.reason}
    shapes = {name: (look.height, look.width) for name, look in known.items()}
    grey = [name for name, _, each in found if channels == 3 and each.is_grey]
    is_all_grey = 0 < len(grey) == len(shapes)
    sizes = sorted(set(shapes.values()), key=lambda shape: (np.prod(shape), shape))
    extremes: dict[str, tuple[int, int]] = {}
    if sizes:
        height, width = np.median(list(shapes.values()), axis=0).round().astype(int).tolist()
        extremes = {"smallest": sizes[0], "median": (height, width), "largest": sizes[-1]}
    depths = (
        f"images with {32 if mode == 'I' else 16} bits: values 0 to {top:,} are stored as 0 to 255"
        for mode, top in sorted(scales.items())
    )
    return replace(
        listing.findings,
        unreadable={name: each.reason for name, _, each in found if each.reason},
        grey=[] if is_all_grey else grey,
        is_all_grey=is_all_grey,
        odd={name: shape for name, shape in shapes.items() if _is_odd(shape, size)},
        remarks=(*listing.findings.remarks, *depths),
        animated=[name for name, look in known.items() if look.is_animated],
        blank=[name for name, _, each in found if each.is_blank],
        dark={
            name: f"values up to {look.highest:,} of {scales[look.mode]:,}"
            for name, look in known.items()
            if look.highest * DARK < scales.get(look.mode, 0)
        },
        highest=max(each.highest for each in decoded),
        full_scales=dict(scales),
        sizes=extremes,
        different_sizes=len(sizes),
        are_arrays=all(look.is_array for look in known.values()),
    )


def _is_odd(shape: tuple[int, int], size: Sequence[int]) -> bool:
    ratio = shape[0] * size[1] / (shape[1] * size[0])
    return max(ratio, 1 / ratio) > STRETCH


def _save(
    folder: Path, listing: ImageList, decoded: Sequence[_Decoded], findings: Findings
) -> None:
    optional = {"groups": listing.groups, "parts": listing.parts}
    np.savez(
        folder / LISTING,
        names=np.array(listing.names),
        labels=listing.labels,
        class_names=np.array(listing.class_names),
        digests=np.frombuffer(b"".join(each.digest for each in decoded), np.uint8).reshape(-1, 16),
        # NumPy's type for the keywords includes that of its flag ``allow_pickle``.
        **{key: values for key, values in optional.items() if values is not None},  # type: ignore[arg-type]
    )
    (folder / "findings.json").write_text(json.dumps(asdict(findings)), encoding="utf-8")


def _load(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray], Findings]:
    """Load the images, memory-mapped, and the arrays and findings that ``_save`` stored."""
    try:
        pixels = np.load(folder / "images.npy", mmap_mode="r")
        with np.load(folder / LISTING) as archive:
            listing = dict(archive)
        findings = Findings(**json.loads((folder / "findings.json").read_text("utf-8")))
        return pixels, listing, findings
    except Exception as error:  # a damaged archive may raise any exception
        raise InputError(
            f"{folder} cannot be read: {error}; remove it, and it will be created again"
        ) from error


def _check_readable(
    findings: Findings,
    listing: Mapping[str, np.ndarray],
    read: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    most: float,
    name: str,
) -> None:
    """Check that enough of the listed images can be read, and some of each class and split."""
    bad = [f"{image} ({why})" for image, why in findings.unreadable.items()]
    count = len(listing["labels"])
    if len(bad) / count > most:
        raise InputError(
            f"data set {name}: {len(bad)} of {count} images cannot be decoded; "
            f"allowed: {most:.0%} (dataset.max_corrupt). {join_names(bad, 100)}"
        )
    lost = np.setdiff1d(np.arange(len(class_names)), read["labels"])
    if lost.size:
        raise InputError(
            f"data set {name}: no image of the classes "
            f"{join_names(class_names[label] for label in lost)} can be decoded: {join_names(bad)}"
        )
    given, left = (each.get("parts", np.array([""])) for each in (listing, read))
    lost = np.setdiff1d(given[given != ""], left)
    if lost.size:
        raise InputError(
            f"data set {name}: no image of the split {join_names(lost)} can be decoded; "
            "replace these images, or remove them, and the split is drawn from the others"
        )
