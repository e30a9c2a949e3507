"""What ``xnas-tf interpret`` does: from names and files to a saved interpretation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.distributed import joined
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject
from xnas_tf.explanation.opening import open_dataset, open_subject, vacant
from xnas_tf.interpretation.flint.interpretation import (
    Interpretation,
    Mode,
    check_options,
    check_places,
    train_interpreter,
)
from xnas_tf.keras_tools.input_range import AUTO
from xnas_tf.registry import describe
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.utils.epoch_progress import epochs_bar

FOLDER = "interpretations"
"""Beside the explanations of the same model."""
LOW_FIDELITY = 0.8
"""An interpreter that says less often what the network says is no account of it; those of
docs/flint.md say it in 96% of the images, and in 20% where the attributes died."""


@dataclass(frozen=True)
class InterpretRequest:
    """What is to be interpreted, and how; see ``train_interpreter`` for what is not said here.

    Attributes:
        path: A run, an exported candidate or a Keras model file; None with a HyperModel.
        hypermodel: ``package.module:Name`` of a HyperModel, whose default network is trained.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        dataset: A data set's name; the run's own if None.
        explain: Images of the test part whose answers are explained, by number.
        out: The folder written; a default beside the run if None.
        safe: Whether to refuse models that bring code of their own.
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
    """Interpret and saves, on all ranks of a job.

    Returns:
        What was found, and the folder it was written to; None on ranks other than the first.

    Raises:
        InputError: If anything named is missing or wrong, or the folder is there already.
    """
    check_options(request.mode, request.attributes, request.epochs, request.rate, request.seed)
    with joined(DistributedOptions()) as ranks, epochs_bar(ranks.rank == 0) as told:
        subject, data, out = _opened(request)
        check_places(request.explain, data.test)
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
            told=told,
            tell=tell if ranks.rank == 0 else lambda _: None,
        )
    if ranks.rank > 0:
        return None
    if doubt := doubt_of(found.answers.fidelity()):
        tell(doubt)
    tell("pictures")
    return found, found.save(out, subject.name, request.explain)


def doubt_of(fidelity: float | None) -> str:
    """What is to be said of an interpreter of this fidelity; empty if nothing is."""
    if fidelity is None or fidelity >= LOW_FIDELITY:
        return ""
    return (
        f"the interpreter answers as the network does for {fidelity:.1%} of the images only, so it "
        "says little of it. A lower --rate or more --epochs may help (docs/flint.md)"
    )


def _opened(request: InterpretRequest) -> tuple[ModelSubject, Dataset, Path]:
    if (request.path is None) == (request.hypermodel is None):
        given = "both are given" if request.path else "neither is given"
        raise InputError(f"allowed: a model or run, or --hypermodel; {given}")
    if request.path is None:
        return _of_hypermodel(request)
    subject, out = open_subject(request.path, request.candidate, request.safe, FOLDER, request.out)
    return subject, open_dataset(request.dataset, subject, request.path, "to learn from"), out


def _of_hypermodel(request: InterpretRequest) -> tuple[ModelSubject, Dataset, Path]:
    """The network of a HyperModel's default hyperparameters, with new weights."""
    import keras_tuner

    target = request.hypermodel
    if request.mode != "by-design":
        raise InputError(
            f"--hypermodel {target}: its network is not trained yet; allowed: --mode by-design"
        )
    if request.dataset is None:
        raise InputError(f"--hypermodel {target}: give --dataset NAME to learn from")
    name = target.rpartition(":")[2]
    out = vacant(request.out or Path(FOLDER) / name)
    data = load_dataset(request.dataset)
    hypermodel = HyperModelOptions(hypermodel=target).create(data.image_shape, data.classes)
    keras.utils.set_random_seed(request.seed)
    try:
        model = hypermodel.build(keras_tuner.HyperParameters())
    except Exception as error:  # a user's code may raise anything at all
        raise InputError(f"HyperModel {target!r} builds no network: {describe(error)}") from error
    return ModelSubject(model, name, out), data, out
