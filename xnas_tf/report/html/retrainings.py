"""What a report says of the models that were trained in full."""

from __future__ import annotations

from typing import Any

from xnas_tf.errors import InputError
from xnas_tf.retraining.results import FOLDER, Retrained, Retraining, retrainings
from xnas_tf.run.directory import Run


def retrainings_data(run: Run) -> dict[str, Any]:
    """Each retraining of a run with its models; or why they cannot be read."""
    try:
        found = [_retraining(each) for each in retrainings(run)]
        return {"command": "xnas-tf retrain", "found": found, "problem": ""}
    except (InputError, KeyError, TypeError) as error:
        problem = f"{FOLDER} cannot be read: {error}"
        return {"command": "xnas-tf retrain", "found": [], "problem": problem}


def _retraining(retraining: Retraining) -> dict[str, Any]:
    objectives = retraining.config.objectives
    return {
        "name": retraining.path.name,
        "epochs": retraining.config.training.epochs,
        "patience": retraining.patience,
        "space": retraining.config.space.model_dump(mode="json"),
        "objectives": [{"name": o.name, "direction": o.direction} for o in objectives],
        "models": [_model(m, [o.name for o in objectives]) for m in retraining.models()],
        "failures": [
            {"title": t.title, "seed": t.seed, "reason": t.reason} for t in retraining.failures()
        ],
    }


def _model(model: Retrained, names: list[str]) -> dict[str, Any]:
    known = model.as_dict(names)
    return {
        **known,
        "objectives": [known["objectives"][name] for name in names],
        "best_epochs": [int(training.metrics["best_epoch"]) for training in model.trainings],
        "curves": [
            [round(epoch["val_accuracy"], 5) for epoch in training.history]
            for training in model.trainings
        ],
    }
