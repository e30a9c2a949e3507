"""The command ``xnas-tf disentangle``: from names and files to saved paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xnas_tf.distributed import joined
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.explanation.opening import open_dataset, open_subject
from xnas_tf.interpretation.nad.disentangle import Disentanglement, disentangle
from xnas_tf.keras_tools.input_range import AUTO


@dataclass(frozen=True)
class DisentangleRequest:
    """What to disentangle, and how; see ``disentangle`` for the attributes not listed here.

    Attributes:
        path: A run, an exported candidate or a Keras model file.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        dataset: A data set's name; that of the run if None.
        classes: Names or numbers; all if empty.
        layers: Names or patterns; the ends of all convolution blocks if empty.
        beta: ``auto`` or a number, as text.
        out: The folder to write; a default inside the run or in ``disentanglements`` if None.
        safe: Whether to refuse models that contain their own code.
    """

    path: Path
    candidate: int | str | None = None
    dataset: str | None = None
    classes: Sequence[str] = ()
    layers: Sequence[str] = ()
    beta: str = "auto"
    tolerance: float = 0.02
    false_alarms: float = 0.1
    epochs: int = 20
    images: int | None = None
    seed: int = 0
    out: Path | None = None
    safe: bool = True
    input_range: str = AUTO


def disentangle_request(
    request: DisentangleRequest, tell: Callable[[str], None] = lambda _: None
) -> tuple[Disentanglement, Path] | None:
    """Disentangle and save, in one process or on all ranks of a job.

    Args:
        request: What to disentangle, and how.
        tell: Called with progress messages, on rank 0.

    Returns:
        The result and the folder that it was written to; None on ranks other than 0.

    Raises:
        InputError: If anything named is missing or wrong, or the folder exists.
    """
    beta = _beta(request.beta)
    with joined(DistributedOptions()) as ranks:  # first, as it sets the visible devices
        subject, out = open_subject(
            request.path, request.candidate, request.safe, "disentanglements", request.out
        )
        data = open_dataset(request.dataset, subject, request.path, "to learn the paths from")
        found = disentangle(
            subject.model,
            data,
            classes=request.classes or None,
            layers=request.layers or None,
            beta=beta,
            epochs=request.epochs,
            tolerance=request.tolerance,
            false_alarms=request.false_alarms,
            seed=request.seed,
            images=request.images,
            input_range=request.input_range,
            tell=tell if ranks.rank == 0 else lambda _: None,
            communicator=ranks,
        )
    return (found, found.save(out, subject.name)) if ranks.rank == 0 else None


def _beta(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--beta {text!r}: allowed: auto, or a number from 0") from error
