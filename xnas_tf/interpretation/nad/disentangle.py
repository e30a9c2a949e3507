"""The Python interface to NAD, which disentangles a network into one path per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import keras
import numpy as np

from xnas_tf.data import Dataset, Split
from xnas_tf.data.class_names import class_numbers
from xnas_tf.data.disk_images import selected
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.interpretation.classifier import check_dataset
from xnas_tf.interpretation.model_data import data_for
from xnas_tf.interpretation.nad import evaluation, metrics
from xnas_tf.interpretation.nad.disentanglement import Disentanglement
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork
from xnas_tf.interpretation.nad.mask_training import Images, MaskTrainingOptions, learn
from xnas_tf.interpretation.nad.presets import preset_for
from xnas_tf.keras_tools.input_range import range_of
from xnas_tf.keras_tools.range_names import AUTO
from xnas_tf.training.chance_level import report_accuracy
from xnas_tf.training.class_predictions import Predictions
from xnas_tf.utils.argument_types import LIST, NAMES, WHOLE, check_types
from xnas_tf.utils.number_format import counted
from xnas_tf.utils.progress import log_message, steps_bar


@check_types(classes=LIST, layers=NAMES, epochs=WHOLE, images=WHOLE, seed=WHOLE)
def disentangle(  # noqa: PLR0913 - options with defaults
    model: keras.Model,
    dataset: str | Dataset,
    classes: Sequence[str | int] | None = None,
    layers: Sequence[str] | None = None,
    beta: float | Literal["auto"] | None = None,
    epochs: int = 20,
    tolerance: float = 0.02,
    false_alarms: float = 0.1,
    seed: int = 0,
    images: int | None = None,
    input_range: str = AUTO,
    preset: str | None = None,
    log: Callable[[str], None] = log_message,
    communicator: Communicator | None = None,
) -> Disentanglement:
    """Find each class's path through a trained network, and evaluate the paths.

    Masks are learned on the training split. The validation split is used to choose β if ``beta`` is
    ``auto``, and to limit false alarms. All metrics are computed on the test split.

    Args:
        model: A trained Keras image classifier, which is left unchanged.
        dataset: A data set, or the name of one, which is loaded at the size of the model's input.
        classes: Names (as text) or numbers (as integers) of at least two classes; all if None.
        layers: Names or name patterns of the layers to mask; if None, the preset's or, without a
            preset, the ends of all convolution blocks.
        beta: Weight of sparsity in the loss; ``auto`` finds the sparsest masks that preserve each
            class's accuracy and limit its false alarms. If None, the preset's β or, without a
            preset, ``auto``.
        epochs: Number of passes over each class's training images.
        tolerance: With ``auto``, the largest allowed loss of accuracy on a class's own images.
        false_alarms: Largest share of other classes' images that a path may classify as its own
            class; a class with no masks within this limit keeps all channels. A value of 1 sets no
            limit, as in the paper.
        seed: Seed for the order of the images and for the collages.
        images: Maximum number of images per class and split; all images if None.
        input_range: The range of values that the model expects, as ``LOW-HIGH``, such as ``0-255``
            or ``-1-1``; or ``auto`` (see ``keras_tools.input_range.range_of``).
        preset: An architecture with published ``layers`` and ``beta``: ``vgg16``, ``resnet50``,
            ``densenet121`` or ``darts``; see ``nad.presets``.
        log: Called with progress messages.
        communicator: Ranks that share the work and get the same result.

    Raises:
        InputError: If an argument is invalid or does not fit the model, or if fewer than two
            classes have a correctly classified training image.
    """
    published = preset_for(preset, model)
    layers = published.layers if layers is None else layers
    beta = published.beta if beta is None else beta
    mask_options = MaskTrainingOptions(beta, epochs, 16, tolerance, false_alarms, seed)
    data = data_for(model, dataset, log)
    wanted = _class_numbers(classes, data.class_names)
    train, validation = (
        split.select(_at_most(split, images)) for split in (data.train, data.validation)
    )
    resolved = range_of(model, data.image_shape, input_range)
    network = MaskedNetwork(model, data.train.images, layers, resolved.name)
    check_dataset(network.classes, data)
    ranks = communicator or SingleProcess()
    log(resolved.text)
    if preset is not None:
        log(f"preset {preset}: {counted(len(network.taps), 'layer')}, β {beta}")
    shown, held_out = (_share(network, split, ranks) for split in (train, validation))
    probabilities = _probabilities(network, data.test, ranks)
    answers = Predictions(probabilities.argmax(1), probabilities.max(1))
    accuracy = report_accuracy(answers, resolved, log, model, data.test, data.scaling)
    rows = _at_most(data.test, images)
    test, probabilities = data.test.select(rows), probabilities[rows]
    predicted = probabilities.argmax(1)
    if len(test) < len(data.test):
        log(
            f"the metrics of the paths use {len(test):,} of these images: at most {images:,} of "
            "each class"
        )
    measured = held_out.labels if mask_options.beta == "auto" else wanted
    left_out = _left_out(wanted, shown, measured, images)
    learnable = np.setdiff1d(wanted, list(left_out))
    with steps_bar(f"learning masks of {len(learnable)} classes") as show_step:
        learned = learn(network, shown, learnable, mask_options, held_out, show_step)
    paths = replace(learned, class_names=[data.class_names[c] for c in learnable])
    log("evaluating the masked networks")
    soft = evaluation.masked_answers(network, test, learnable, paths.soft, ranks)
    hard = evaluation.masked_answers(network, test, learnable, paths.hard, ranks)
    log("evaluating collages and misclassified images")
    correct = test.select(np.flatnonzero(predicted == test.labels))
    return Disentanglement(
        paths=paths,
        plain=evaluation.answers(predicted, test.labels, learnable),
        soft=soft,
        hard=hard,
        confusion=metrics.confusions(probabilities, test.labels, learnable),
        hits=evaluation.path_hits(network, correct, learnable, paths.hard, seed),
        mistakes=evaluation.find_mistakes(network, test, predicted, learnable, paths.hard),
        mask_options=mask_options,
        left_out={data.class_names[number]: why for number, why in left_out.items()},
        images={"train": len(train), "validation": len(validation), "test": len(test)},
        all_class_names=data.class_names,
        input_range=resolved,
        accuracy=accuracy,
    )


def _class_numbers(classes: Sequence[str | int] | None, names: Sequence[str]) -> np.ndarray:
    """Return the sorted numbers of the given classes."""
    if classes is None:
        return np.arange(len(names))
    numbers = {int(class_numbers(each, names, "`classes`")) for each in classes}
    if len(numbers) < 2:
        raise InputError("`classes`: fewer than two classes given; allowed: 2 or more")
    return np.array(sorted(numbers))


def _at_most(split: Split, count: int | None) -> np.ndarray:
    """Return the indices of the first ``count`` images of each class; all indices if None."""
    if count is None:
        return np.arange(len(split))
    if count < 1:
        raise InputError(f"`images` {count}: allowed: 1 or more")
    chosen = [np.flatnonzero(split.labels == c)[:count] for c in np.unique(split.labels)]
    return np.sort(np.concatenate(chosen))


def _share(network: MaskedNetwork, split: Split, ranks: Communicator) -> Images:
    """Return this rank's share of a split."""
    predicted = _probabilities(network, split, ranks).argmax(1)
    images = selected(split.images, slice(ranks.rank, None, ranks.size))
    return Images(images, split.labels, split.labels == predicted, ranks)


def _probabilities(network: MaskedNetwork, split: Split, ranks: Communicator) -> np.ndarray:
    probabilities = evaluation.predict(network, split.images, ranks)
    if not np.isfinite(probabilities).all():
        raise InputError("the model returns values that are not finite: it cannot be disentangled")
    return probabilities


def _left_out(
    wanted: np.ndarray, train: Images, measured: np.ndarray, most: int | None
) -> dict[int, str]:
    """Return the reasons why some of the classes ``wanted`` cannot have a path, by class number.

    Accuracies of paths can be measured only for the classes ``measured``.
    """
    which = "no training image of this kind"
    if most is not None:
        which = f"none of the training images used (at most {most:,} of each kind)"
    reason = f"{which} is classified correctly"
    unmeasured = "there is no validation image of this kind on which to measure a path"
    found = dict.fromkeys(np.setdiff1d(wanted, measured).tolist(), unmeasured)
    found |= dict.fromkeys(np.setdiff1d(wanted, train.labels[train.is_right]).tolist(), reason)
    if len(wanted) - len(found) < 2:
        raise InputError(
            f"{len(wanted) - len(found)} of the chosen classes can have a path, but at least 2 are "
            f"needed. Why the others cannot: {'; '.join(sorted({*found.values()}))}"
        )
    return found
