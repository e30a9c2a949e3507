"""What a report says of single models, as plain data and pictures for the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError
from xnas_tf.registry import describe
from xnas_tf.storage.run import Run
from xnas_tf.utils.intervals import CONFIDENCE

if TYPE_CHECKING:
    from xnas_tf.reporting.html.examination import Examiner


def chosen_models(
    run: Run,
    front: Sequence[Candidate],
    named: Sequence[int | str],
    most: int,
    recommended: int | None,
) -> list[Candidate]:
    """The candidates that get a section of their own.

    Args:
        run: The run.
        front: The Pareto-optimal candidates, best in the first objective first.
        named: Ids, ``recommended`` or ``best``; if empty, the front is taken.
        most: Models of the front, at most: of more, the one that is recommended and others evenly
            from one end to the other.
        recommended: Id of that one, which is the first; None if none is.

    Raises:
        InputError: If there is no such candidate.
    """
    if named:
        return run.choose_all(named)
    places = list(range(len(front)))
    first = [place for place in places if front[place].id == recommended]
    if len(front) > most:
        places = np.linspace(0, len(front) - 1, most).round().astype(int).tolist()
        if places and first and first[0] not in places:
            inner = range(len(places))[1:-1] or range(len(places))  # both ends stay
            places[min(inner, key=lambda at: abs(places[at] - first[0]))] = first[0]
    return [front[place] for place in sorted(places, key=lambda place: ([place] != first, place))]


def models_data(
    run: Run, chosen: Sequence[Candidate], count: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """What is recorded of each model, and what can be seen in it now.

    Args:
        run: The run.
        chosen: The candidates.
        count: Test images explained.
        tell: Is told which model is at work.
    """
    recorded = [recorded_data(run, candidate) for candidate in chosen]
    found: dict[str, Any] = {"models": recorded, "confidence": CONFIDENCE, "problem": ""}
    if not any(candidate.model_path for candidate in chosen):
        return found
    try:
        examiner = _examiner(run, count)
    except InputError as error:  # data that moved since
        return {**found, "problem": str(error)}
    for candidate, entry in zip(chosen, recorded, strict=True):
        if not entry["problem"]:
            tell(f"examining the model of candidate {candidate.id}")
            entry |= _examined(examiner, candidate)
    return {**found, **examiner.shared()}


def _examiner(run: Run, count: int) -> Examiner:
    from xnas_tf.reporting.html.examination import Examiner  # needs TensorFlow

    return Examiner(run, count)


def _examined(examiner: Examiner, candidate: Candidate) -> dict[str, Any]:
    try:
        return examiner.examine(candidate)
    except Exception as error:  # a user's layers may raise anything at all
        why = str(error) if isinstance(error, InputError) else describe(error)
        return {"problem": f"its model could not be examined: {why}"}


def recorded_data(run: Run, candidate: Candidate) -> dict[str, Any]:
    """What the run says of a candidate without its model."""
    file = run.path / "explanations" / f"candidate-{candidate.id:05d}" / "explanation.json"
    return {
        "id": candidate.id,
        "history": candidate.history,
        "metrics": candidate.metrics,
        "seconds": candidate.seconds_total,
        "quality": _saved_quality(file),
        "problem": ""
        if candidate.model_path
        else "no model was kept: only candidates that were Pareto-optimal when they finished "
        "have one, so nothing can be shown that needs it",
    }


def _saved_quality(file: Path) -> dict[str, dict[str, float | None]]:
    """Mean figures by method and name that ``xnas-tf explain`` measured; empty where it was not
    run, or for other models."""
    try:
        methods = json.loads(file.read_text(encoding="utf-8"))["methods"]
        return {
            method: {name: figure["mean"] for name, figure in known["quality"].items()}
            for method, known in methods.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
