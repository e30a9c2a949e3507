"""The command ``xnas-tf interpret``: from names and files to a saved interpretation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import keras_tuner

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.distributed import joined
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject
from xnas_tf.explanation.opening import check_new, open_dataset, open_subject
from xnas_tf.interpretation.flint.interpretation import (
    Interpretation,
    Mode,
    check_indices,
    check_options,
    train_interpreter,
)
from xnas_tf.keras_tools.input_range import AUTO
from xnas_tf.registry import describe
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.utils.epoch_progress import epochs_bar

FOLDER = "interpretations"
"""Name of the folder beside the explanations of the same model."""
LOW_FIDELITY = 0.8
"""Below this fidelity an interpreter does not explain its network. Those of docs/flint.md agree
with it on 96% of the images, and on 20% if all attributes became 0."""


@dataclass(frozen=True)
class InterpretRequest:
    """What to interpret, and how; see ``train_interpreter`` for the attributes not listed here.

    Attributes:
        path: A run, an exported candidate or a Keras model file; None with a HyperModel.
        hypermodel: ``package.module:Name`` of a HyperModel, whose default network is trained.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        dataset: A data set's name; that of the run if None.
        explain: Indices of images of the test split whose predictions are explained.
        out: The folder to write; a default inside the run or in ``interpretations`` if None.
        safe: Whether to refuse models that contain their own code.
    """

    path: Path | None
    mode: Mode
    hypermodel: str | None = None
    candidate: int | str | None = None
    dataset: str | None = None
    attributes: int | None = None
    layers: Sequence[str] = ()
    settings: str | None = None
    epochs: int | None = None
    rate: float | None = None
    seed: int = 0
    explain: Sequence[int] = ()
    out: Path | None = None
    safe: bool = True
    input_range: str = AUTO


def interpret_request(
    request: InterpretRequest, tell: Callable[[str], None] = lambda _: None
) -> tuple[Interpretation, Path] | None:
    """Interpret and save, in one process or on all ranks of a job.

    Args:
        request: What to interpret, and how.
        tell: Called with progress messages, on rank 0.

    Returns:
        The result and the folder that it was written to; None on ranks other than 0.

    Raises:
        InputError: If anything named is missing or wrong, or the folder exists.
    """
    check_options(request.mode, request.attributes, request.epochs, request.rate, request.seed)
    with joined(DistributedOptions()) as ranks, epochs_bar(ranks.rank == 0) as show_epoch:
        subject, data, out = _open(request)
        check_indices(request.explain, data.test)
        found = train_interpreter(
            subject.model,
            data,
            request.mode,
            attributes=request.attributes,
            layers=request.layers or None,
            settings=request.settings,
            epochs=request.epochs,
            rate=request.rate,
            seed=request.seed,
            input_range=request.input_range,
            communicator=ranks,
            told=show_epoch,
            tell=tell if ranks.rank == 0 else lambda _: None,
        )
    if ranks.rank > 0:
        return None
    if warning := low_fidelity_warning(found.answers.fidelity()):
        tell(warning)
    tell("figures")
    return found, found.save(out, subject.name, request.explain)


def low_fidelity_warning(fidelity: float | None) -> str:
    """Return a warning about an interpreter of low fidelity; else an empty string."""
    if fidelity is None or fidelity >= LOW_FIDELITY:
        return ""
    return (
        f"the interpreter agrees with the network on only {fidelity:.1%} of the images, so it "
        "explains little. A lower --rate or more --epochs may help (docs/flint.md)"
    )


def _open(request: InterpretRequest) -> tuple[ModelSubject, Dataset, Path]:
    """Load the model and the data set, and choose the folder to write."""
    if request.path is not None and request.hypermodel is None:
        subject, out = open_subject(
            request.path, request.candidate, request.safe, FOLDER, request.out
        )
        return subject, open_dataset(request.dataset, subject, request.path, "to learn from"), out
    if request.path is None and request.hypermodel is not None:
        return _build_hypermodel(request, request.hypermodel)
    given = "neither is given" if request.path is None else "both are given"
    raise InputError(f"allowed: a model or run, or --hypermodel; {given}")


def _build_hypermodel(request: InterpretRequest, target: str) -> tuple[ModelSubject, Dataset, Path]:
    """Build a HyperModel's network with its default hyperparameters and new weights."""
    if request.mode != "by-design":
        raise InputError(
            f"--hypermodel {target}: its network is not trained yet; allowed: --mode by-design"
        )
    if request.dataset is None:
        raise InputError(f"--hypermodel {target}: give --dataset NAME to learn from")
    name = target.rpartition(":")[2]
    out = check_new(request.out or Path(FOLDER) / name)
    data = load_dataset(request.dataset)
    hypermodel = HyperModelOptions(hypermodel=target).create(data.image_shape, data.classes)
    keras.utils.set_random_seed(request.seed)
    try:
        model = hypermodel.build(keras_tuner.HyperParameters())
    except Exception as error:  # a user's code may raise anything
        raise InputError(f"HyperModel {target!r} builds no network: {describe(error)}") from error
    return ModelSubject(model, name, out), data, out
