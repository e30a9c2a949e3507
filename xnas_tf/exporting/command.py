"""Export models of a run, each into a folder with its files and its card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from xnas_tf.attribution import attribution_method
from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, XnasError
from xnas_tf.explanation import DEFAULT_METHODS
from xnas_tf.exporting.card import model_card, output_text
from xnas_tf.exporting.card_text import card_text
from xnas_tf.exporting.evidence import Evidence, gather
from xnas_tf.exporting.formats import DEFAULT_FORMATS, chosen_formats
from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.exporting.formats.builtin import WILDCARDS, SavedModel
from xnas_tf.exporting.quiet_stderr import silenced_native_code
from xnas_tf.exporting.selection import ExportSelection, chosen_models, export_folders
from xnas_tf.exporting.serving import ServedModel
from xnas_tf.exporting.verification import Reference, differences, reference
from xnas_tf.keras_tools.settings import clear_session
from xnas_tf.registry import describe
from xnas_tf.storage.run import Run, load_run
from xnas_tf.utils.argument_types import LIST, PATH, TEXT, check_types
from xnas_tf.utils.output_folder import atomic_folder

Log = Callable[[str], None]


@check_types(out=PATH, formats=LIST, licence=TEXT, retrained=TEXT)
def export(  # noqa: PLR0913 - options with defaults
    run: Run | str | Path,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate = (),
    out: str | Path | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    licence: str = "",
    log: Log = lambda _: None,
    retrained: str = "",
    pareto: bool = False,
    safe: bool = True,
) -> list[Path]:
    """Export models, each into a folder of its own, ``OUT/candidate-00007``.

    The folder contains a file or folder for each format, and a model card as ``README.md`` and
    ``card.json``. Each file is run after it was written, and compared with the model.

    Args:
        run: The run, or its directory.
        candidates: A candidate or several, each by id, ``recommended``, ``best``, or itself. If
            empty and ``pareto`` is false, the recommended one; of a retraining, all that were
            retrained.
        out: The folder of the exports; ``RUN/exports`` if None.
        formats: Names of formats; see ``FORMATS``.
        licence: Licence of the models, for their cards.
        log: Called with messages about the progress, and the difference of each file.
        retrained: A folder in ``RUN/retrained``, or ``latest``, to export its models instead of
            the search's: of each candidate the seed that is best on the validation split, into
            ``OUT/candidate-00007-seed-2``.
        pareto: Whether to export all Pareto-optimal candidates.
        safe: Whether to refuse models that contain code of their own, as a Lambda layer does.

    Returns:
        The folders.

    Raises:
        InputError: If a format is unknown or its converter missing, a candidate or retraining
            does not exist, a model was not kept, there is nothing to export, or a folder exists
            already: nothing is overwritten.
        XnasError: If a model cannot be converted, or a file does not agree with it; its folder is
            not created then.
    """
    run = load_run(run)
    kinds = chosen_formats(formats)
    chosen = chosen_models(run, candidates, retrained, pareto)
    folders = export_folders(run, chosen, out)
    base = folders[0].parent
    if SavedModel in map(type, kinds) and WILDCARDS.search(str(base.absolute())):
        log(
            "warning: TensorFlow loads no SavedModel from a path with '*', '?', '[' or '\\', as in "
            f"{base}: move it before you use it, or give another `out`"
        )
    evidence = gather(run, log)
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
    try:
        test = evidence.test_metrics(chosen, model, note)
        note(f"explaining {len(evidence.images)} images for comparison")
        methods = [attribution_method(name)() for name in DEFAULT_METHODS]
        expected = reference(model, evidence.images, methods)
        served = _served(evidence, chosen, model, expected)
        with atomic_folder(folder) as draft:
            files = [_written(kind, served, expected, draft, note) for kind in kinds]
            card = model_card(evidence, chosen, test, expected, files, licence)
            card["keras_output"] = output_text(model, evidence.facts["class_names"])
            card["contains_code"] = not safe and not _loads_safely(chosen.candidate)
            (draft / "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
            (draft / "README.md").write_text(card_text(card, kinds), encoding="utf-8")
    finally:
        clear_session()


def _loads_safely(candidate: Candidate) -> bool:
    try:
        candidate.load_model()
    except InputError:
        return False
    return True


def _served(
    evidence: Evidence, chosen: ExportSelection, model: keras.Model, expected: Reference
) -> ServedModel:
    shape, names = evidence.facts["image_shape"], evidence.facts["class_names"]
    classes = expected.outputs["probabilities"].shape[1]
    if classes != len(names):
        raise InputError(
            f"candidate {chosen.candidate.id} has {classes} classes, but its data has {len(names)}"
        )
    return ServedModel(model, chosen.model_path, shape, names, expected.methods)


def _written(
    kind: ExportFormat, served: ServedModel, expected: Reference, folder: Path, log: Log
) -> dict[str, Any]:
    """Write a model in one format, compare it with the model, and return its entry in the card."""
    path = folder / kind.file
    log(f"writing {kind.name}")
    try:
        with silenced_native_code():
            kind.write(served, path)
            found = differences(kind, path, expected)
    except Exception as error:  # whatever converters raise
        why = str(error) if isinstance(error, XnasError) else describe(error)
        raise XnasError(f"{served.source.name} is not exported as {kind.name}: {why}") from error
    allowed = expected.tolerance(kind)
    log(f"{kind.name} differs by {max(found.values()):.1g}; allowed: {allowed:.0e}")
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {
        "format": kind.name,
        "file": kind.file,
        "bytes": sum(each.stat().st_size for each in files),
        "differences": found,
        "tolerance": allowed,
    }
