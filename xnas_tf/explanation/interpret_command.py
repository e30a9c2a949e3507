"""The ``xnas-tf interpret`` command, which turns names and files into a saved interpretation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.distributed import joined
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.execution.preparation import check_same_model
from xnas_tf.explanation.model_loading import ModelSubject, load_data, load_source
from xnas_tf.interpretation.flint.expert_text import LOW_FIDELITY, never_predicted_text
from xnas_tf.interpretation.flint.interpretation import Interpretation, check_indices
from xnas_tf.interpretation.flint.training import check_options, train_interpreter
from xnas_tf.registry import describe
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.storage.model_source import INTERPRETATIONS, ModelSource
from xnas_tf.training.chance_level import WARNING
from xnas_tf.utils.number_format import percent_text


def interpret_request(
    source: ModelSource,
    explained: Sequence[int],
    log: Callable[[str], None],
    **options: Any,
) -> tuple[Interpretation, Path] | None:
    """Interpret a model and save the result, in one process or on all ranks of a job.

    Args:
        source: The model, or a HyperModel to train with default hyperparameters; the data set; and
            the output folder.
        explained: Indices of the test images to explain.
        log: Called with progress messages.
        **options: Options of ``train_interpreter``.

    Returns:
        The result and its folder; None on ranks other than 0.

    Raises:
        InputError: If anything named is missing or invalid, the folder exists, or ranks differ in
            their model or data.
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
        found = train_interpreter(subject.model, data, communicator=ranks, log=log, **options)
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
    assert hypermodel is not None
    if mode != "by-design":
        raise InputError(
            f"--hypermodel {hypermodel}: its network is not trained yet; allowed: --mode by-design"
        )
    out = source.folder(INTERPRETATIONS, needs_data=True)
    assert source.dataset is not None
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
