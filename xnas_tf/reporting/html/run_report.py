"""Collects the data for a report on a run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.figures.importance import importance_data
from xnas_tf.reporting.html.interpretations import interpretations_data
from xnas_tf.reporting.html.models import chosen_models, models_data, retrainings_data
from xnas_tf.reporting.html.search import search_data
from xnas_tf.reporting.html.summary import made_text, run_facts
from xnas_tf.reporting.status import run_status, status_facts
from xnas_tf.storage.run import Run


def report_data(
    run: Run,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate,
    models: int,
    images: int,
    log: Callable[[str], None],
    prefer: str | None = None,
    within: float | None = None,
    safe: bool = True,
) -> dict[str, Any]:
    """Collect all data for the page; see ``save_report`` for the arguments."""
    found = run.snapshot(prefer, within)
    chosen = chosen_models(run, found, candidates, models)
    status = run_status(run, found)
    log("estimating the importance of the hyperparameters")
    return {
        "title": run.path.resolve().name,
        "subtitle": made_text(),
        "facts": run_facts(run, found, status),
        "path": shlex.quote(str(run.path)),
        "status": list(status_facts(status).items()),
        **search_data(run, found),
        "influence": importance_data(found.comparable, run.config, np.random.default_rng(0)),
        "models": models_data(run, chosen, images, log, safe),
        "retrainings": retrainings_data(run),
        "interpretations": interpretations_data(run),
    }
