"""A network disentangled into the paths of its classes, from Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from xnas_tf.data import Dataset, Split, load_dataset
from xnas_tf.data.class_names import class_number
from xnas_tf.data.disk_images import selected
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.interpretation.classifier import check_classes
from xnas_tf.interpretation.nad import evaluation as figures
from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.disentanglement import DisentanglementData
from xnas_tf.interpretation.nad.evaluation import Paths
from xnas_tf.interpretation.nad.files import save
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork
from xnas_tf.interpretation.nad.training import Images, Lesson, learn
from xnas_tf.keras_tools.input_range import AUTO, range_of
from xnas_tf.training.accuracy import Accuracy, tell_accuracy

COLLAGES = 32
"""Of each class."""
TOP_PIXELS = 0.1
"""Of a map, count as hits or misses; the paper takes 0.05 to 0.1."""


class Disentanglement(DisentanglementData):
    """The paths of K classes through L layers of a network, with all figures.

    See ``DisentanglementData`` for its attributes.
    """

    def save(self, out: str | Path, title: str = "") -> Path:
        """Write pictures, masks, figures and TensorBoard images into a new folder.

        Returns:
            The folder.

        Raises:
            InputError: If it is there already, or cannot be written.
        """
        return save(self, Path(out), title)


def disentangle(
    model: keras.Model,
    dataset: str | Dataset,
    classes: Sequence[str | int] | None = None,
    layers: Sequence[str] | None = None,
    beta: float | Literal["auto"] = "auto",
    epochs: int = 20,
    tolerance: float = 0.02,
    false_alarms: float = 0.1,
    seed: int = 0,
    images: int | None = None,
    input_range: str = AUTO,
    tell: Callable[[str], None] = lambda _: None,
    communicator: Communicator | None = None,
) -> Disentanglement:
    """Find each class's path through a trained network, and measures the paths.

    Masks are learned on the training part. ``auto`` chooses β by the validation part, where
    false alarms are judged as well; all figures come from the test part.

    Args:
        model: A trained Keras image classifier of any kind; it is not changed.
        dataset: A data set or its name.
        classes: Names or numbers of two classes or more; all if None.
        layers: Names or patterns of layers whose channels are masked; the ends of all
            convolution blocks if None.
        beta: Weight of sparsity in the loss; ``auto`` finds the sparsest masks that keep each
            class's accuracy, and its false alarms within their limit.
        epochs: Passes over the training images of each class.
        tolerance: Share of its images that a class may lose with ``auto``.
        false_alarms: Share of other classes' images that its path may take for the class; a
            class for which no masks do keeps all channels. 1 sets no limit, as in the paper.
        seed: Of the order of images, and of collages.
        images: Images of each class and part that are used, at most; all if None.
        input_range: The values that the model takes: ``0-1``, ``0-255``, ``-1-1``, or ``auto``,
            see ``attribution.input_range.range_of``.
        tell: Is told what is being done.
        communicator: Ranks that share the work; each is given the same, and returns the same.

    Raises:
        InputError: If something given is wrong or doesn't fit the model, or fewer than two
            classes have a correctly classified training image.
    """
    lesson = _checked(Lesson(beta, epochs, 16, tolerance, false_alarms, seed))
    data = load_dataset(dataset) if isinstance(dataset, str) else dataset
    wanted = _chosen(classes, data.class_names)
    parts = [_at_most(part, images) for part in (data.train, data.validation, data.test)]
    taken = range_of(model, data.image_shape, input_range)
    network = MaskedNetwork(model, data.train.images, layers, taken.name)
    check_classes(network.classes, data.class_names, data.name)
    ranks = communicator or SingleProcess()
    tell(taken.text)
    plain = [_probabilities(network, part, ranks) for part in parts]
    accuracy = Accuracy.of(plain[2].argmax(1), parts[2].labels)
    tell_accuracy(accuracy, taken, tell, model, parts[2])
    train, validation = (
        Images(
            selected(part.images, slice(ranks.rank, None, ranks.size)),
            part.labels,
            part.labels == each.argmax(1),
        )
        for part, each in zip(parts[:2], plain, strict=False)
    )
    able, left_out = _learnable(wanted, train, data.class_names)
    learned = learn(network, train, able, lesson, validation, ranks, tell)
    names = [data.class_names[c] for c in able]
    paths = figures.paths_of(learned, network, names)
    found = _measured(network, paths, parts[2], plain[2], able, lesson, ranks, tell)
    counts = dict(zip(("train", "validation", "test"), map(len, parts), strict=True))
    return replace(found, left_out=left_out, images=counts, input_range=taken, accuracy=accuracy)


def _measured(
    network: MaskedNetwork,
    paths: Paths,
    test: Split,
    plain: np.ndarray,
    classes: np.ndarray,
    lesson: Lesson,
    ranks: Communicator,
    tell: Callable[[str], None],
) -> Disentanglement:
    """All figures on held-out images; ``plain`` are the probabilities without masks."""
    predicted = plain.argmax(axis=1)
    tell("answers of the masked networks")
    soft, hard = (
        figures.masked_answers(network, test, classes, masks, ranks)
        for masks in (paths.soft, paths.hard)
    )
    tell("collages and misclassified images")
    correct = test.select(np.flatnonzero(predicted == test.labels))
    return Disentanglement(
        paths,
        figures.answers(np.tile(predicted, (len(classes), 1)), test.labels, classes),
        soft,
        hard,
        metrics.confusions(plain, test.labels, classes),
        figures.path_hits(network, correct, classes, paths.hard, COLLAGES, TOP_PIXELS, lesson.seed),
        figures.find_mistakes(network, test, predicted, classes, paths.hard),
        lesson,
    )


def _checked(lesson: Lesson) -> Lesson:
    beta = lesson.beta
    if beta != "auto" and not (isinstance(beta, int | float) and 0 <= beta < float("inf")):
        raise InputError(f"--beta {beta}: allowed: auto, or a number from 0")
    if lesson.epochs < 1:
        raise InputError(f"--epochs {lesson.epochs}: allowed: 1 or more")
    for name in ("tolerance", "false_alarms"):
        if not 0 <= getattr(lesson, name) <= 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(lesson, name)}: allowed: 0 to 1")
    if lesson.seed < 0:
        raise InputError(f"--seed {lesson.seed}: allowed: 0 or more")
    return lesson


def _chosen(classes: Sequence[str | int] | None, names: Sequence[str]) -> np.ndarray:
    """Class numbers, sorted."""
    if classes is None:
        return np.arange(len(names))
    numbers = {class_number(str(each), names, "--classes", ()) for each in classes}
    if len(numbers) < 2:
        raise InputError("--classes: fewer than two classes have no paths to compare")
    return np.array(sorted(numbers))


def _at_most(part: Split, count: int | None) -> Split:
    """The first so many images of each class."""
    if count is None:
        return part
    if count < 1:
        raise InputError(f"--images {count}: allowed: 1 or more")
    chosen = [np.flatnonzero(part.labels == c)[:count] for c in np.unique(part.labels)]
    return part.select(np.sort(np.concatenate(chosen)))


def _probabilities(network: MaskedNetwork, part: Split, ranks: Communicator) -> np.ndarray:
    found = figures.predict(network, part.images, ranks)
    if not np.isfinite(found).all():
        raise InputError("the model returns values that are not finite: it cannot be disentangled")
    return found


def _learnable(
    wanted: np.ndarray, train: Images, names: Sequence[str]
) -> tuple[np.ndarray, dict[str, str]]:
    """The classes with a correctly classified training image, and why others have no path."""
    known = np.unique(train.labels[train.is_right])
    left_out = {
        names[c]: "no training image of it is classified correctly"
        for c in wanted
        if c not in known
    }
    able = np.intersect1d(wanted, known)
    if len(able) < 2:
        raise InputError(
            f"{len(able)} of the classes chosen has training images that the network classifies "
            "correctly; paths need 2 or more"
        )
    return able, left_out
