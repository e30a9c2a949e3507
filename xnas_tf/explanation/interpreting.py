"""Interprets a model with NAD or FLINT, from Python or from the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.distributed import joined
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.execution.rank_agreement import check_same_model
from xnas_tf.explanation.model_loading import (
    AnyModel,
    ModelSubject,
    load_data,
    load_source,
    named_model,
)
from xnas_tf.interpretation import flint, nad
from xnas_tf.interpretation.flint.expert_text import LOW_FIDELITY, never_predicted_text
from xnas_tf.interpretation.flint.interpretation import check_indices
from xnas_tf.interpretation.flint.training import check_options
from xnas_tf.registry import describe
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.storage.model_source import DISENTANGLEMENTS, INTERPRETATIONS, ModelSource
from xnas_tf.training.chance_level import WARNING
from xnas_tf.utils.argument_types import check_types
from xnas_tf.utils.number_format import percent_text
from xnas_tf.utils.progress import displayed, log_message


@check_types()
def disentangle(
    model: AnyModel,
    dataset: str | Dataset | None = None,
    *arguments: Any,
    verbose: int = 1,
    safe: bool = True,
    **options: Any,
) -> nad.Disentanglement:
    """Find each class's path through a trained network, and evaluate the paths.

    Args:
        model: A Keras image classifier; a run, which stands for its recommended candidate; a
            candidate, such as ``run[4]``; or the path to a run, an exported candidate or a
            ``.keras`` file.
        dataset: A data set, or the name of one, which is loaded at the size of the model's input.
            If None, the run's data set is used.
        *arguments: Further arguments of ``xnas_tf.interpretation.nad.disentangle.disentangle``.
        verbose: Level of output: 0 shows only warnings, 1 adds progress, 2 adds a line per epoch.
        safe: Whether to reject a model that contains Python code, such as a Lambda layer.
        **options: The same arguments, given by name.

    Raises:
        InputError: If an argument is invalid or does not fit the model, or fewer than two classes
            have a correctly classified training image.
    """
    subject = named_model(model, safe)
    with displayed(verbose):
        data = subject.load_dataset(dataset, log_message)
        return nad.disentangle(subject.model, data, *arguments, **options)


@check_types()
def train_interpreter(
    model: AnyModel,
    dataset: str | Dataset | None = None,
    *arguments: Any,
    verbose: int = 1,
    safe: bool = True,
    **options: Any,
) -> flint.Interpretation:
    """Train an interpreter, and evaluate it on the validation and test splits.

    Args:
        model: See ``disentangle``. The model is left unchanged in post-hoc mode, and trained from
            its current weights in by-design mode.
        dataset: A data set, or the name of one, which is loaded at the size of the model's input.
            If None, the run's data set is used.
        *arguments: Further arguments of
            ``xnas_tf.interpretation.flint.training.train_interpreter``.
        verbose: Level of output: 0 shows only warnings, 1 adds progress, 2 adds a line per epoch.
        safe: See ``disentangle``.
        **options: The same arguments, given by name.

    Raises:
        InputError: If an argument is invalid or does not fit the model.
    """
    subject = named_model(model, safe)
    with displayed(verbose):
        data = subject.load_dataset(dataset, log_message)
        return flint.train_interpreter(subject.model, data, *arguments, **options)


def disentangle_request(
    source: ModelSource, beta: str | None, log: Callable[[str], None], **options: Any
) -> tuple[nad.Disentanglement, Path] | None:
    """Disentangle a model and save the result, in one process or on all ranks of a job.

    ``beta`` is ``auto``, a number as text, or None. The other options are those of ``disentangle``.

    Returns:
        The result and the folder to which it was written; None on ranks other than 0.

    Raises:
        InputError: If anything named is missing or invalid, the folder exists, or ranks differ.
    """
    weight = _beta(beta)
    with joined(DistributedOptions()) as ranks:  # comes first, because it sets the visible devices
        subject, out = load_source(source, DISENTANGLEMENTS)
        data = load_data(source, subject, DISENTANGLEMENTS, log)
        check_same_model(subject.model, data, ranks)
        options |= {"beta": weight, "log": log, "communicator": ranks}
        found = nad.disentangle(subject.model, data, **options)
    return (found, found.save(out, subject.title)) if ranks.rank == 0 else None


def _beta(text: str | None) -> float | Literal["auto"] | None:
    if text is None:
        return None
    try:
        return "auto" if text == "auto" else float(text)
    except ValueError as error:
        raise InputError(f"--beta {text!r}: allowed: auto, or a number from 0") from error


def interpret_request(
    source: ModelSource, explained: Sequence[int], log: Callable[[str], None], **options: Any
) -> tuple[flint.Interpretation, Path] | None:
    """Interpret a model and save the result, in one process or on all ranks of a job.

    If the source is a HyperModel, its default network is trained. ``explained`` are the indices of
    the test images to explain. The other options are those of ``train_interpreter``. See
    ``disentangle_request`` for the result and errors.
    """
    check_options(**options)
    with joined(DistributedOptions()) as ranks:
        if source.hypermodel is None:
            subject, out = load_source(source, INTERPRETATIONS)
            data = load_data(source, subject, INTERPRETATIONS, log)
            check_same_model(subject.model, data, ranks)
        else:
            subject, data, out = _build(source, options["mode"], options["seed"])
        check_indices(explained, data.test)
        options |= {"log": log, "communicator": ranks}
        found = flint.train_interpreter(subject.model, data, **options)
    if ranks.rank > 0:
        return None
    if warning := low_fidelity_warning(found.answers.fidelity()):
        log(warning)
    if unknown := never_predicted_text(found.never_predicted):
        log(f"{WARNING}{unknown[0].lower()}{unknown[1:].rstrip('.')}")
    log("drawing pictures")
    return found, found.save(out, subject.title, explained)


def low_fidelity_warning(fidelity: float | None) -> str:
    """Return a warning if an interpreter has low fidelity, otherwise an empty string."""
    if fidelity is None or fidelity >= LOW_FIDELITY:
        return ""
    return (
        f"warning: the interpreter agrees with the network on only {percent_text(fidelity)} of "
        "the images, so it explains little. Try a lower `rate` or more `epochs` "
        "(docs/explanation/flint.md)"
    )


def _build(source: ModelSource, mode: str, seed: int) -> tuple[ModelSubject, Dataset, Path]:
    """Build a HyperModel's network with its default hyperparameters and new weights."""
    hypermodel = source.hypermodel
    assert hypermodel
    if mode != "by-design":
        raise InputError(
            f"--hypermodel {hypermodel}: its network is not trained yet; allowed: --mode by-design"
        )
    out = source.folder(INTERPRETATIONS, needs_data=True)
    assert source.dataset
    data = load_dataset(source.dataset)
    builder = HyperModelOptions(hypermodel=hypermodel).create(data.image_shape, data.classes)
    keras.utils.set_random_seed(seed)
    try:
        model = builder.build(keras_tuner.HyperParameters())
    except Exception as error:  # a user's code may raise anything
        raise InputError(
            f"HyperModel {hypermodel!r} cannot build its network: {describe(error)}"
        ) from error
    return ModelSubject(model, hypermodel.rpartition(":")[2]), data, out
