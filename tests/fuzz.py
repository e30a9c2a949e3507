"""Small inputs drawn at random, and what must hold for each.

``make_input(seed, folder)`` writes an image folder, a table, an archive, a configuration or a
HyperModel, with the faults that people's own inputs have, and returns what is true of it.
"""

import csv
import string
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

CLASS_NAMES = ["cat", "dog", "1", "01", "02", "a b", "Ü", "100%", "[x]", "None", "true", "x-y", "é"]
SIZE = (7, 6)
MODEL_EVERY = 20
"""Each how many inputs is a search."""


@dataclass
class Input:
    """An input, the words of the command that reads it, and its true labels.

    Attributes:
        words: After ``xnas-tf``.
        counts: Images by class name; None if only their sum and sizes are known, or nothing.
        sizes: Numbers of images of each class, in any order; None if it must be refused.
        may_be_refused: Whether an error message is right as well.
        changes: The drawn faults, for the message of a test that fails.
    """

    words: list[str]
    counts: dict[str, int] | None = None
    sizes: list[int] | None = None
    may_be_refused: bool = False
    changes: list[str] = field(default_factory=list)


def make_input(seed: int, folder: Path) -> Input:
    """Write the input of a seed into an empty folder."""
    rng = np.random.default_rng(seed)
    if seed % MODEL_EVERY == 0:
        from tests.fuzz_models import make_model

        return make_model(rng, folder, f"mine_{seed}")
    kinds = (image_folder, table, archive, configuration)
    return kinds[rng.integers(len(kinds))](rng, folder)


def picture(rng: np.random.Generator) -> Image.Image:
    """An image in one of the modes that files have."""
    mode = rng.choice(["L", "RGB", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16"])
    grey = Image.fromarray(rng.integers(0, 256, SIZE, dtype=np.uint8))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, SIZE, dtype=np.uint16))
    return grey.convert(str(mode))


def write_picture(rng: np.random.Generator, path: Path) -> Path:
    """Write an image in a format that has its mode, and return the path with its suffix."""
    image = picture(rng)
    formats = {
        "CMYK": [("tiff", ".tif")],
        "RGBA": [("png", ".png"), ("webp", ".webp")],
        "RGB": [("png", ".PNG"), ("jpeg", ".jpg"), ("jpeg", ".jfif"), ("ppm", ".ppm")],
        "L": [
            ("png", ".png"),
            ("jpeg", ".jpeg"),
            ("bmp", ".bmp"),
            ("ppm", ".pgm"),
            ("gif", ".gif"),
        ],
    }.get(image.mode, [("png", ".png")])
    kind, suffix = formats[rng.integers(len(formats))]
    path = path.with_name(path.name + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, kind)
    return path


def chosen_classes(rng: np.random.Generator) -> dict[str, int]:
    """Names of classes with numbers of images."""
    names = rng.choice(CLASS_NAMES, rng.integers(2, 5), replace=False)
    return {str(name): int(rng.integers(6, 13)) for name in names}


def image_folder(rng: np.random.Generator, folder: Path) -> Input:
    """One folder a class."""
    counts, root = chosen_classes(rng), folder / "my pets"
    for name, count in counts.items():
        for number in range(count):
            write_picture(rng, root / name / f"image {number}")
    given = Input(["data", f"folder:{root}"], counts)
    first = root / next(iter(counts))
    faults = {
        "hidden folder": lambda: write_picture(rng, root / ".ipynb_checkpoints" / "x"),
        "hidden folder in a class": lambda: write_picture(rng, first / ".thumbs" / "x"),
        "text": lambda: (first / "notes.txt").write_text("no image"),
        "system files": lambda: [
            (first / n).write_bytes(b"\0") for n in (".DS_Store", "Thumbs.db")
        ],
        "truncated": lambda: truncate(rng, first),
        "empty folder": lambda: (root / "nothing").mkdir(),
        "loop": lambda: (first / "loop").symlink_to(root),
        "nested": lambda: nest(rng, first, counts),
    }
    for name in rng.choice(list(faults), rng.integers(0, 3), replace=False):
        given.changes.append(str(name))
        faults[str(name)]()
    given.may_be_refused = bool({"empty folder", "truncated"} & set(given.changes))
    given.sizes = list(counts.values())
    return given


def nest(rng: np.random.Generator, folder: Path, counts: dict[str, int]) -> None:
    """Put one more image into a folder inside a class."""
    write_picture(rng, folder / "more" / "deep" / "x")
    counts[folder.name] += 1


def truncate(rng: np.random.Generator, folder: Path) -> None:
    """Cut an image file off."""
    path = write_picture(rng, folder / "cut")
    path.write_bytes(path.read_bytes()[:20])


def table(rng: np.random.Generator, folder: Path) -> Input:
    """A CSV file of paths and labels."""
    counts = chosen_classes(rng)
    pad = rng.choice(["", " "])
    prefix = rng.choice(["", "./", f"{folder}/"])
    rows = []
    for name, count in counts.items():
        for number in range(count):
            path = write_picture(rng, folder / "files" / f"{name.replace('%', '')} {number}")
            rows.append([f"{prefix}{path.relative_to(folder)}", f"{pad}{name}{pad}"])
    order = rng.permutation(len(rows))
    delimiter = str(rng.choice([",", ";", "\t"]))
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    file = folder / "labels.csv"
    with file.open("w", newline="", encoding=encoding) as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(["path", "label"])
        writer.writerows(rows[i] for i in order)
    given = Input(["data", f"csv:{file}"], counts, list(counts.values()))
    given.changes = [repr(delimiter), encoding, f"prefix {prefix}", f"pad {pad!r}"]
    given.may_be_refused = delimiter != "," or encoding == "utf-16"
    return given


def archive(rng: np.random.Generator, folder: Path) -> Input:
    """An npz file with arrays of one of the kinds that people have."""
    classes = int(rng.integers(2, 5))
    labels = np.repeat(np.arange(classes), rng.integers(6, 13, classes))
    rng.shuffle(labels)
    depth = [(), (1,), (3,)][rng.integers(3)]
    images = rng.integers(0, 256, (len(labels), 9, 8, *depth))
    values = {
        "uint8": lambda x: x.astype(np.uint8),
        "int64": lambda x: x,
        "float 0-1": lambda x: x / 255,
        "float32 0-255": lambda x: x.astype(np.float32),
        "above one": lambda x: x / 255 * (1 + 1e-6),
        "binary": lambda x: x % 2,
        "0-16": lambda x: x % 17,
        "12 bits": lambda x: (x * 16).astype(np.uint16),
        "bool": lambda x: x > 128,
        "negative": lambda x: x / 127.5 - 1,
        "nan": lambda x: np.where(x == x.max(), np.nan, x / 255),
    }
    answers = {
        "from 0": lambda y: y,
        "from 1": lambda y: y + 1,
        "gaps": lambda y: y * 3,
        "words": lambda y: np.array(list(string.ascii_lowercase))[y],
        "float": lambda y: y.astype(float),
        "column": lambda y: y[:, None],
        "one-hot": lambda y: np.eye(classes, dtype=int)[y],
        "bytes": lambda y: np.array([b"a", b"b", b"c", b"d"])[y],
        "halves": lambda y: y + 0.5,
        "short": lambda y: y[:-1],
    }
    value, answer = str(rng.choice(list(values))), str(rng.choice(list(answers)))
    arrays = {"x": values[value](images), "y": answers[answer](labels)}
    given = Input(["data", f"npz:{folder / 'data.npz'}"], None, np.bincount(labels).tolist())
    given.changes = [value, answer]
    if rng.random() < 0.3:
        extra = str(rng.choice(["x_test", "x_val", "y_test", "weights"]))
        arrays[extra] = arrays["x"][:5] if extra[0] == "x" else arrays["y"][:5]
        given.changes.append(extra)
    np.savez(folder / "data.npz", **arrays)
    odd = {"nan", "negative", "halves", "short", "gaps", "one-hot", "bytes", "column"}
    given.may_be_refused = bool(odd & set(given.changes)) or len(given.changes) > 2
    return given


def configuration(rng: np.random.Generator, folder: Path) -> Input:
    """A configuration of which a value or a key is changed."""
    words = {
        "dataset": {"name": "digits", "validation": 0.2, "test": 0.2, "seed": 0, "size": 8},
        "space": {"name": "nas_bench_201", "channels": 4, "cells_per_stack": 1},
        "objectives": ["error", {"name": "introspectability", "images": 50}],
        "training": {"epochs": 2, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.01},
        "search": {"candidates": 6, "population": 4, "seed": 1, "algorithm": "nsga2"},
        "distributed": {"engine": "auto", "ranks_per_candidate": 1},
    }
    odd = [
        "",
        None,
        -1,
        0,
        1.5,
        "abc",
        [],
        {},
        True,
        10**12,
        "1e3",
        float("nan"),
        ["a", 1],
        {"a": 1},
    ]
    given = Input([], may_be_refused=True)
    for _ in range(rng.integers(1, 3)):
        section = str(rng.choice(list(words)))
        value = odd[rng.integers(len(odd))]
        if isinstance(words[section], dict) and rng.random() < 0.8:
            key = str(rng.choice(list(words[section]) or ["x"]))
            key = key if rng.random() < 0.7 else key[:-1] + "z"
            words[section][key] = value
            given.changes.append(f"{section}.{key}={value!r}")
        else:
            words[section] = value
            given.changes.append(f"{section}={value!r}")
    file = folder / "c.yaml"
    file.write_text(yaml.safe_dump(words))
    given.words = ["data", str(file)]
    return given
