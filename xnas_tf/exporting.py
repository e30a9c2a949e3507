"""Export of trained models for use without xnas_tf."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError
from xnas_tf.folders import new_folder
from xnas_tf.run.directory import Run

if TYPE_CHECKING:
    import keras


def export(run: Run, candidates: Sequence[int] = (), out: str | Path | None = None) -> list[Path]:
    """Exports models, each into a folder of its own, ``OUT/candidate-00007``.

    The folder holds ``1/``, a SavedModel that plain TensorFlow loads (version 1 of the model,
    laid out as TensorFlow Serving wants it), ``model.keras`` and ``card.json``. The
    SavedModel takes raw uint8 images (B, H, W, C) and returns class probabilities.

    Args:
        run: The run.
        candidates: Ids; all Pareto-optimal ones if empty.
        out: Where to; ``RUN/exports`` if None.

    Returns:
        The folders.

    Raises:
        InputError: If a candidate doesn't exist or its model was not kept, if there is
            nothing to export, or if a folder is there already: nothing is overwritten.
    """
    chosen = (
        [run.candidate(number) for number in dict.fromkeys(candidates)]
        if candidates
        else run.pareto()
    )
    if not chosen:
        raise InputError(f"{run.path} has no Pareto-optimal candidates to export yet")
    base = Path(out) if out else run.path / "exports"
    folders = [base / f"candidate-{candidate.id:05d}" for candidate in chosen]
    taken = [str(folder) for folder in folders if folder.exists()]
    if taken:
        raise InputError(f"nothing was exported, since there is already: {', '.join(taken)}")
    dataset = _dataset_facts(run)
    for candidate, folder in zip(chosen, folders, strict=True):
        _export_one(run, candidate, dataset, folder)
    return folders


def _export_one(run: Run, candidate: Candidate, dataset: dict[str, Any], folder: Path) -> None:
    model = candidate.load_model()
    with new_folder(folder) as draft:
        save_saved_model(model, draft / "1")
        shutil.copyfile(candidate.model_path, draft / "model.keras")
        card = model_card(run, candidate, dataset)
        (draft / "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")


def save_saved_model(model: keras.Model, path: Path) -> None:
    """Writes a SavedModel: uint8 images (B, H, W, C) -> ``probabilities`` (B, classes)."""
    import tensorflow as tf
    from keras.export import ExportArchive

    from xnas_tf.attribution.models import ends_in_softmax
    from xnas_tf.data.preprocessing import to_model_input

    already = ends_in_softmax(model)

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(to_model_input(images), training=False)
        return {"probabilities": outputs if already else tf.nn.softmax(outputs)}

    archive = ExportArchive()
    archive.track(model)
    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")
    archive.add_endpoint("serving_default", serve, input_signature=[signature])
    archive.write_out(str(path), verbose=False)


def model_card(run: Run, candidate: Candidate, dataset: dict[str, Any]) -> dict[str, Any]:
    """What someone needs to know of an exported model."""
    return {
        "candidate": candidate.id,
        "genotype": candidate.genotype,
        "hyperparameters": candidate.hyperparameters,
        "objectives": {
            o.name: {"value": candidate.objectives[o.name], "direction": o.direction}
            for o in run.config.objectives
        },
        "metrics": candidate.metrics,
        "dataset": dataset,
        "input": "uint8 images (batch, height, width, channels), 0 to 255",
        "output": "probabilities (batch, classes), in the order of dataset.class_names",
        "training": run.config.training.model_dump(mode="json") | {"epochs": candidate.epochs},
        "seed": candidate.seed,
        "parents": list(candidate.parents),
        "answered_by": candidate.answered_by,
        "versions": candidate.versions,
    }


def _dataset_facts(run: Run) -> dict[str, Any]:
    facts = run.fact("dataset")
    return {**run.config.dataset.model_dump(mode="json"), **(facts or {})}
