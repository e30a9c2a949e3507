"""Collects data and pictures of a run's models, also of retrained ones, for a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.candidate import Candidate, named_candidates
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.registry import describe
from xnas_tf.reporting.html.quality import saved_quality
from xnas_tf.retraining.results import FOLDER, Retrained, Retraining, retrainings
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import Run
from xnas_tf.storage.snapshot import Snapshot
from xnas_tf.utils.intervals import CONFIDENCE

if TYPE_CHECKING:
    from xnas_tf.reporting.html.examination import Examiner

NOT_KEPT = "no model was kept: only candidates that were Pareto-optimal when they finished have one"


def chosen_models(
    run: Run,
    found: Snapshot,
    named: Sequence[int | str | Candidate] | int | str | Candidate,
    most: int,
) -> list[Candidate]:
    """Choose the candidates that get a section: those named, or at most ``most`` of the front.

    Of the front, the recommended one comes first, and others are spaced evenly from one end to the
    other.

    Raises:
        InputError: If a named candidate does not exist.
    """
    if wanted := named_candidates(named):
        return run.choose_all(wanted)
    front = found.front
    ids = [candidate.id for candidate in front]
    first = ids.index(found.recommended.id) if found.recommended.id in ids else None
    count = min(most, len(front))
    rows = np.linspace(0, len(front) - 1, count).round().astype(int).tolist()
    if rows and first is not None and first not in rows:
        inner = rows[1:-1] or rows  # keep both ends
        nearest = min(inner, key=lambda row: abs(row - first))
        rows[rows.index(nearest)] = first
    return [front[row] for row in sorted(rows, key=lambda row: (row != first, row))]


def models_data(
    run: Run, chosen: Sequence[Candidate], count: int, log: Callable[[str], None], safe: bool = True
) -> dict[str, Any]:
    """Collect each model's recorded data, and examine saved models on ``count`` test images."""
    recorded: list[dict[str, Any]] = [
        {
            "id": candidate.id,
            "history": candidate.history,
            "metrics": candidate.metrics,
            "seconds": candidate.seconds_total,
            **saved_quality(run, candidate.id),
            "problem": "" if candidate.model_path else NOT_KEPT,
        }
        for candidate in chosen
    ]
    data: dict[str, Any] = {"models": recorded, "confidence": CONFIDENCE, "problem": ""}
    if not any(candidate.model_path for candidate in chosen):
        return data
    from xnas_tf.reporting.html.examination import run_examiner  # noqa: PLC0415 - heavy

    try:
        examiner = run_examiner(run, count)
    except InputError as error:  # for example, the data set has been moved
        return {**data, "problem": str(error)}
    for candidate, entry in zip(chosen, recorded, strict=True):
        if not entry["problem"]:
            log(f"examining the model of candidate {candidate.id}")
            entry |= _examine(examiner, run, candidate, safe)
    return {**data, **examiner.shared()}


def _examine(examiner: Examiner, run: Run, candidate: Candidate, safe: bool) -> dict[str, Any]:
    from xnas_tf.explanation.model_loading import changed_code  # noqa: PLC0415 - heavy

    try:
        model = candidate.load_model(safe)
        change = changed_code(candidate, run, model)
        found = examiner.examine(model)
        return {**found, "notes": [*([change] if change else []), *found["notes"]]}
    except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
        why = str(error) if isinstance(error, InputError) else describe(error)
        return {"problem": f"the model could not be examined: {why}"}


def retrainings_data(run: Run) -> dict[str, Any]:
    """Return each retraining of a run with its models, or the reason they cannot be read."""
    data: dict[str, Any] = {"command": "xnas-tf retrain", "found": [], "problem": ""}
    try:
        return data | {"found": [_retraining_data(each) for each in retrainings(run)]}
    except (InputError, KeyError, TypeError) as error:
        return data | {"problem": f"{FOLDER} cannot be read: {error}"}


def _retraining_data(retraining: Retraining) -> dict[str, Any]:
    columns = measured_columns(retraining.config)
    return {
        "name": retraining.path.name,
        "epochs": retraining.config.training.epochs,
        "patience": retraining.patience,
        "space": retraining.config.space.model_dump(mode="json"),
        "columns": [{"name": column.name, "title": column.title} for column in columns],
        "models": [_model_data(model, retraining.config) for model in retraining.models()],
        "notes": retraining.notes(),
        "failures": [
            {"title": t.title, "seed": t.seed, "reason": t.reason} for t in retraining.failures()
        ],
    }


def _model_data(model: Retrained, config: Config) -> dict[str, Any]:
    return {
        **model.as_dict(config),
        "values": [model.measured(column.name) for column in measured_columns(config)],
        "best_epochs": [int(training.metrics["best_epoch"]) for training in model.trainings],
        "curves": [
            [round(epoch["val_accuracy"], 5) for epoch in training.history]
            for training in model.trainings
        ],
    }
