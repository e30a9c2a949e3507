"""Collects data on retrained models for a report."""

from __future__ import annotations

from typing import Any

from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.retraining.results import FOLDER, Retrained, Retraining, retrainings
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import Run


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
