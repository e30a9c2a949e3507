"""From a run to folders with its models in the formats asked for, and their cards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, XnasError
from xnas_tf.exporting.formats import DEFAULT_FORMATS, chosen_formats
from xnas_tf.exporting.selection import ExportSelection, chosen_models
from xnas_tf.registry import describe
from xnas_tf.storage.run import Run
from xnas_tf.utils.output_folder import new_folder

if TYPE_CHECKING:
    from xnas_tf.exporting.evidence import Evidence
    from xnas_tf.exporting.formats.base import ExportFormat
    from xnas_tf.exporting.serving import ServedModel
    from xnas_tf.exporting.verification import Reference

Tell = Callable[[str], None]


def export(
    run: Run,
    candidates: Sequence[int | str] = (),
    out: str | Path | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    licence: str = "",
    tell: Tell = lambda _: None,
    retrained: str = "",
    pareto: bool = False,
) -> list[Path]:
    """Exports models, each into a folder of its own, ``OUT/candidate-00007``.

    The folder holds what the formats write, and a model card as ``README.md`` and
    ``card.json``. Each file is run after it was written, and compared with the model.

    Args:
        run: The run.
        candidates: Ids, ``recommended`` or ``best``. If empty and ``pareto`` is false, the
            recommended one; of a retraining all that were retrained.
        out: Where to; ``RUN/exports`` if None.
        formats: Names: see ``FORMATS``.
        licence: Of the models, for their cards.
        tell: Is told what is at work, and how far each file is from its model.
        retrained: Folder in ``RUN/retrained``, or ``latest``, whose models are exported instead of
            the search's: of each candidate the seed that is best on the validation part, into
            ``OUT/candidate-00007-seed-2``.
        pareto: Whether all Pareto-optimal ones are exported.

    Returns:
        The folders.

    Raises:
        InputError: If a format is unknown or its converter missing, if a candidate or retraining
            doesn't exist or a model was not kept, if there is nothing to export, or if a folder is
            there already: nothing is overwritten.
        XnasError: If a model cannot be converted, or what was written says something else than
            it; its folder is not made then.
    """
    kinds = chosen_formats(formats)
    if not kinds:
        raise InputError("no format to export in")
    chosen = chosen_models(run, candidates, retrained, pareto)
    folders = _free_folders(chosen, Path(out) if out else run.path / "exports")
    from xnas_tf.exporting.evidence import gather

    evidence = gather(run, tell)
    for each, folder in zip(chosen, folders, strict=True):
        _export_one(evidence, each, folder, kinds, licence, _prefixed(tell, f"{each.name}: "))
    return folders


def _free_folders(chosen: Sequence[ExportSelection], base: Path) -> list[Path]:
    """Where the models go to, checked before anything is written."""
    folders = [base / each.name for each in chosen]
    taken = [str(folder) for folder in folders if folder.exists()]
    if taken:
        raise InputError(f"nothing was exported, since there is already: {', '.join(taken)}")
    return folders


def _export_one(
    evidence: Evidence,
    chosen: ExportSelection,
    folder: Path,
    kinds: Sequence[ExportFormat],
    licence: str,
    tell: Tell,
) -> None:
    import keras

    from xnas_tf.exporting.card import model_card
    from xnas_tf.exporting.card_text import card_text

    candidate = chosen.candidate
    model = candidate.load_model()
    try:
        test = evidence.test_figures(chosen, model, tell)
        tell(f"explaining {len(evidence.images)} images to compare with")
        served, expected = _prepared(evidence, candidate, model)
        with new_folder(folder) as draft:
            files = [_written(kind, served, expected, draft, tell) for kind in kinds]
            card = model_card(evidence, chosen, test, expected, files, licence)
            (draft / "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
            (draft / "README.md").write_text(card_text(card, kinds), encoding="utf-8")
    finally:
        del model
        keras.backend.clear_session()


def _prepared(
    evidence: Evidence, candidate: Candidate, model: Any
) -> tuple[ServedModel, Reference]:
    from xnas_tf.attribution import attribution_method
    from xnas_tf.explanation import DEFAULT_METHODS
    from xnas_tf.exporting.serving import ServedModel
    from xnas_tf.exporting.verification import reference

    methods = [attribution_method(name)() for name in DEFAULT_METHODS]
    expected = reference(model, evidence.images, methods)
    facts = evidence.facts
    shape, names = facts["image_shape"], facts["class_names"]
    classes = expected.outputs["probabilities"].shape[1]
    if classes != len(names):
        raise InputError(
            f"candidate {candidate.id} tells {classes} classes apart, but its data has {len(names)}"
        )
    return ServedModel(model, candidate.model_path, shape, names, expected.methods), expected


def _written(
    kind: ExportFormat, served: ServedModel, expected: Reference, folder: Path, tell: Tell
) -> dict[str, Any]:
    """Writes one format and compares it with the model; what the card says of it."""
    from xnas_tf.exporting.quiet_stderr import silenced_native_code
    from xnas_tf.exporting.verification import differences

    path = folder / kind.file
    tell(f"writing {kind.name}")
    try:
        with silenced_native_code():
            kind.write(served, path)
            far = differences(kind, path, expected)
    except Exception as error:  # whatever converters raise
        why = str(error) if isinstance(error, XnasError) else describe(error)
        raise XnasError(f"{served.source.name} is not exported as {kind.name}: {why}") from error
    allowed = expected.tolerance(kind)
    tell(f"{kind.name} differs by {max(far.values()):.1g}; allowed: {allowed:.0e}")
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {
        "format": kind.name,
        "file": kind.file,
        "bytes": sum(each.stat().st_size for each in files),
        "differences": far,
        "tolerance": allowed,
    }


def _prefixed(tell: Tell, prefix: str) -> Tell:
    return lambda text: tell(prefix + text)
