"""Exports a run's models, each into a folder with its files and its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, XnasError
from xnas_tf.explanation import Explanation
from xnas_tf.exporting.card import PICTURE, model_card
from xnas_tf.exporting.card_text import card_text
from xnas_tf.exporting.evidence import Evidence, gather
from xnas_tf.exporting.formats import DEFAULT_FORMATS, chosen_formats
from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.exporting.formats.builtin import WILDCARDS, KerasFile, SavedModel
from xnas_tf.exporting.hub_header import hub_header
from xnas_tf.exporting.selection import (
    ExportSelection,
    OwnCode,
    chosen_models,
    export_folders,
    own_code,
)
from xnas_tf.exporting.serving import ServedModel
from xnas_tf.exporting.verification import (
    ALLOWED_LOSS,
    Reference,
    compare,
    differences,
    reference,
)
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.settings import clear_session
from xnas_tf.keras_tools.tracing import without_trace_warnings
from xnas_tf.objectives.latency import Latency
from xnas_tf.registry import describe
from xnas_tf.storage.run import Run, load_run
from xnas_tf.utils.argument_types import LIST, PATH, TEXT, check_types
from xnas_tf.utils.number_format import counted
from xnas_tf.utils.output_folder import atomic_folder
from xnas_tf.utils.pictures import png
from xnas_tf.utils.progress import log_message
from xnas_tf.utils.quiet_stderr import silenced_native_code
from xnas_tf.utils.source_code import CHANGED

Log = Callable[[str], None]
SHOWN = 8
"""Number of images in the card's picture."""


@check_types(out=PATH, formats=LIST, licence=TEXT, retrained=TEXT)
def export(  # noqa: PLR0913 - options with defaults
    run: Run | str | Path,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate = (),
    out: str | Path | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    licence: str = "",
    log: Log = log_message,
    retrained: str = "",
    pareto: bool = False,
    safe: bool = True,
) -> list[Path]:
    """Export models, each into its own folder, such as ``OUT/candidate-00007``.

    The folder contains one file or folder per format, and a model card as ``README.md`` and
    ``card.json``. Each exported file is run and compared with the model.

    Args:
        run: The run, or its directory.
        candidates: One or more candidates, each given as an id, ``recommended``, ``best`` or a
            ``Candidate``. If empty and ``pareto`` is false, the recommended candidate is exported
            or, with ``retrained``, all retrained candidates.
        out: The folder for the exports; ``RUN/exports`` if None.
        formats: Names of export formats; see ``FORMATS``.
        licence: The licence to state on the models' cards.
        log: Called with progress messages, including how much each file's outputs differ from the
            model's.
        retrained: A folder in ``RUN/retrained``, or ``latest``. Models from this retraining are
            exported instead of those from the search. For each candidate, the seed that performed
            best on the validation split is exported, into a folder such as
            ``OUT/candidate-00007-seed-2``.
        pareto: Whether to export all Pareto-optimal candidates.
        safe: Whether to reject models that contain Python code, such as a Lambda layer, and not to
            call a function that creates the HyperModel, as it may be any function. In that case,
            the card cannot name the optimizer that the HyperModel's models are compiled with.

    Returns:
        The folders.

    Raises:
        InputError: If a format is unknown or its converter is missing, a candidate or retraining
            does not exist, a model was not kept, there is nothing to export, or an output folder
            already exists. Nothing is overwritten.
        RunError: If the disk is full.
        XnasError: If a model cannot be converted, or a file's outputs do not match the model's. In
            that case, the model's folder is not created.
    """
    run = load_run(run)
    kinds = chosen_formats(formats)
    chosen = chosen_models(run, candidates, retrained, pareto)
    folders = export_folders(run, chosen, out)
    base = folders[0].parent
    if SavedModel in map(type, kinds) and WILDCARDS.search(str(base.absolute())):
        log(
            "warning: TensorFlow cannot load a SavedModel from a path with '*', '?', '[' or '\\', "
            f"as in {base}: move it before you use it, or choose another `out`"
        )
    evidence = gather(run, log)
    with without_trace_warnings():
        for each, folder in zip(chosen, folders, strict=True):
            _export_one(evidence, each, folder, kinds, licence, log, safe)
    return folders


def _export_one(
    evidence: Evidence,
    chosen: ExportSelection,
    folder: Path,
    kinds: Sequence[ExportFormat],
    licence: str,
    log: Log,
    safe: bool,
) -> None:
    def note(text: str) -> None:
        log(f"{chosen.name}: {text}")

    model = chosen.candidate.load_model(safe)
    custom = _custom_names(model)  # before anything traces the model
    own = own_code(chosen) if custom else OwnCode()
    change = f"{own.problem}: {CHANGED}" if own.has_changed else ""
    if change:
        note(f"warning: {change}")
    if KerasFile not in map(type, kinds):
        own = OwnCode()  # no file needs the code
    try:
        test = evidence.test_metrics(chosen, model, note)
        note(f"explaining {counted(len(evidence.images), 'image')} for the comparison")
        expected = reference(model, evidence.images)
        calibration = evidence.calibration_images() if any(k.is_quantized for k in kinds) else None
        shape, names = evidence.facts["image_shape"], evidence.facts["class_names"]
        classes = expected.outputs["probabilities"].shape[1]
        if classes != len(names):
            raise InputError(
                f"candidate {chosen.candidate.id} has {classes} classes, but its data has "
                f"{len(names)}"
            )
        served = ServedModel(model, chosen.model_path, shape, names, expected.methods, calibration)
        # The options of the search if it measured latency.
        timing = next((m for m in chosen.config.measures() if isinstance(m, Latency)), Latency())
        with atomic_folder(folder) as draft:
            files = [
                _written(kind, served, expected, draft, note)
                | _timed(kind, draft / kind.file, timing, note)
                | (_compared(kind, served, evidence, draft, note) if kind.is_quantized else {})
                for kind in kinds
            ]
            card = model_card(evidence, chosen, model, test, expected, files, licence, safe)
            card["custom_objects"] = custom
            card["own_code"] = _copied(own, draft, note)
            card["limits"] += [f"{change}."] if change else []
            card["contains_code"] = not safe and not _loads_safely(chosen.candidate)
            if card["picture"]:
                (draft / PICTURE).write_bytes(_picture(evidence, expected))
            (draft / "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
            text = hub_header(card) + card_text(card, kinds)
            (draft / "README.md").write_text(text, encoding="utf-8")
    finally:
        clear_session()


def _picture(evidence: Evidence, expected: Reference) -> bytes:
    """Draw some of the images with maps that explain the predicted classes."""
    probabilities = expected.outputs["probabilities"]
    shown = Explanation(
        expected.images,
        probabilities,
        probabilities.argmax(axis=1),
        evidence.facts["class_names"],
        evidence.labels,
        {method: expected.outputs[method.name] for method in expected.methods},
    )
    return png(shown.figure(chosen=slice(SHOWN)), dpi=120)


def _custom_names(model: keras.Model) -> list[str]:
    """Return the names of the classes and functions that must exist before a model is loaded."""
    return sorted({getattr(each, "__name__", type(each).__name__) for each in custom_code(model)})


def _copied(own: OwnCode, folder: Path, log: Log) -> dict[str, Any]:
    """Copy the user's own file, and return the card's entry about it."""
    if own.file:
        shutil.copyfile(own.file, folder / own.file.name)
        log(
            f"copied {own.file.name}, which model.keras needs: check it before you share the folder"
        )
    if own.problem:
        log(f"the code that model.keras needs was not copied: {own.problem}")
    copied = own.file.name if own.file else ""
    return {"copied": copied, "needs": list(own.needs), "not_copied_because": own.problem}


def _loads_safely(candidate: Candidate) -> bool:
    try:
        candidate.load_model()
    except InputError:
        return False
    return True


def _written(
    kind: ExportFormat, served: ServedModel, expected: Reference, folder: Path, log: Log
) -> dict[str, Any]:
    """Write a model in one format, compare the file with the model, and return its card entry."""
    path = folder / kind.file
    log(f"writing {kind.name}")
    try:
        with silenced_native_code():
            kind.write(served, path)
            found = differences(kind, path, expected)
    except Exception as error:  # converters may raise anything
        why = str(error) if isinstance(error, XnasError) else describe(error)
        raise XnasError(
            f"{served.source.name} could not be exported as {kind.name}: {why}"
        ) from error
    allowed = expected.tolerance(kind)
    limit = "" if kind.is_quantized else f"; allowed: {allowed:.0e}"
    log(f"{kind.name} differs by {max(found.values()):.1g}{limit}")
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {
        "format": kind.name,
        "file": kind.file,
        "bytes": sum(each.stat().st_size for each in files),
        "differences": found,
        "tolerance": allowed,
    }


def _timed(kind: ExportFormat, path: Path, options: Latency, log: Log) -> dict[str, Any]:
    """Return an exported file's latency for the card, if it can be measured."""
    try:
        percentiles = kind.latency(path, options)
    except Exception as error:  # noqa: BLE001 - the file is written and verified
        log(f"warning: the latency of {kind.name} could not be measured: {describe(error)}")
        return {}
    measured = {"batch_size": options.batch_size, "threads": options.threads}
    return {"latency": {"milliseconds": percentiles, **measured}} if percentiles else {}


def _compared(
    kind: ExportFormat, served: ServedModel, evidence: Evidence, folder: Path, log: Log
) -> dict[str, Any]:
    """Return a quantized file's accuracy for the card."""
    with silenced_native_code():
        found = compare(kind, folder / kind.file, served.model, evidence.compared_images())
    loss = found["model_accuracy"][1] - found["accuracy"][1]
    if loss > ALLOWED_LOSS:
        log(
            f"warning: {kind.name} loses {100 * loss:.1f} percentage points of accuracy; it should "
            f"lose at most {100 * ALLOWED_LOSS:g}"
        )
    assert served.calibration is not None
    count = len(served.calibration)
    return {"quantization": {"calibration_images": count, "allowed_loss": ALLOWED_LOSS, **found}}
