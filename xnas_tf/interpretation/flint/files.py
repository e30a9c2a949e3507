"""An interpreted classifier as files: metrics, model, figures, TensorBoard images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.interpretation.files import plain, write_facts, write_pictures
from xnas_tf.interpretation.flint import metrics
from xnas_tf.interpretation.flint.drawing import drawings
from xnas_tf.utils.output_folder import atomic_folder

if TYPE_CHECKING:
    from xnas_tf.interpretation.flint.evaluation import InterpreterPredictions
    from xnas_tf.interpretation.flint.interpretation_data import InterpretationData


def save(
    found: InterpretationData, out: Path, title: str = "", explained: Sequence[int] = ()
) -> Path:
    """Write an interpreted classifier into a new folder; see ``Interpretation.save``."""
    with atomic_folder(out) as draft:
        found.model.save(draft / "interpreted.keras")
        write_pictures(draft, "interpretation", drawings(found, title, explained))
        write_facts(draft / "interpretation.json", facts(found))
    return out


def facts(found: InterpretationData) -> dict[str, Any]:
    """Return all metrics as JSON can hold them; undefined values are None."""
    return {
        "mode": found.mode,
        "input_range": found.input_range.name,
        "accuracy": found.before.as_dict(),
        "layers": found.model.layer_names,
        "settings": {**found.settings.model_dump(), "seed": found.seed},
        "epochs": len(found.history),
        "class_names": list(found.class_names),
        "images": {"validation": len(found.validation.labels), "test": len(found.test)},
        "validation": figures(found.validation),
        "test": figures(found.answers),
        "class_relevance": plain(found.answers.class_relevance),
        "never_answered": [
            name
            for name, row in zip(found.class_names, found.answers.class_relevance, strict=True)
            if np.isnan(row).any()
        ],
        "disagreements": _disagreements(found),
        "history": found.history,
    }


def figures(answers: InterpreterPredictions) -> dict[str, Any]:
    """Return the metrics of predictions on some images."""
    predictor, interpreter = answers.accuracies
    use = answers.use(metrics.TAU)
    cns = metrics.conciseness(answers.relevance)
    return {
        "accuracy": {"f": predictor, "g": interpreter},
        "fidelity": {"top1": answers.fidelity(), "top5": answers.fidelity(5)},
        "conciseness": {f"{tau:g}": n for tau, n in zip(metrics.TAUS, cns, strict=True)},
        "strict_conciseness": metrics.strict_conciseness(
            answers.relevance, answers.agrees, metrics.TAU
        ),
        "unexplained": answers.unexplained,
        "attribute_use": use.tolist(),
        "unused_attributes": int((use == 0).sum()),
        "attribute_means": answers.attributes.mean(axis=0).tolist(),
    }


def _disagreements(found: InterpretationData) -> list[dict[str, Any]]:
    names, answers = found.class_names, found.answers
    return [
        {
            "image": int(index),
            "label": names[answers.labels[index]],
            "f": names[answers.predictor[index]],
            "g": names[answers.interpreter[index]],
        }
        for index in np.flatnonzero(~answers.agrees)
    ]
