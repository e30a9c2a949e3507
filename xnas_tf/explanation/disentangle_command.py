"""The ``xnas-tf disentangle`` command, which turns names and files into saved paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from xnas_tf.distributed import joined
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError
from xnas_tf.execution.preparation import check_same_model
from xnas_tf.explanation.model_loading import load_data, load_source
from xnas_tf.interpretation.nad.disentangle import Disentanglement, disentangle
from xnas_tf.storage.model_source import DISENTANGLEMENTS, ModelSource


def disentangle_request(
    source: ModelSource, beta: str | None, log: Callable[[str], None], **options: Any
) -> tuple[Disentanglement, Path] | None:
    """Disentangle a model and save the result, in one process or on all ranks of a job.

    ``beta`` is ``auto``, a number as text, or None. The other options are those of ``disentangle``.

    Returns:
        The result and the folder to which it was written; None on ranks other than 0.

    Raises:
        InputError: If anything named is missing or invalid, the folder exists, or ranks differ in
            their model or data.
    """
    weight = _beta(beta)
    with joined(DistributedOptions()) as ranks:  # comes first, because it sets the visible devices
        subject, out = load_source(source, DISENTANGLEMENTS)
        data = load_data(source, subject, DISENTANGLEMENTS, log)
        check_same_model(subject.model, data, ranks)
        found = disentangle(
            subject.model, data, beta=weight, log=log, communicator=ranks, **options
        )
    return (found, found.save(out, subject.title)) if ranks.rank == 0 else None


def _beta(text: str | None) -> float | Literal["auto"] | None:
    if text is None:
        return None
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--beta {text!r}: allowed: auto, or a number from 0") from error
