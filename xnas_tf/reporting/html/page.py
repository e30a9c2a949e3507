"""Collect the data of a report and write it as one HTML file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError
from xnas_tf.figures.importance import importance_data
from xnas_tf.reporting.html.interpretations import interpretations_data
from xnas_tf.reporting.html.models import chosen_models, models_data
from xnas_tf.reporting.html.retrainings import retrainings_data
from xnas_tf.reporting.html.search import search_data
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.storage.run import Run, comparable_candidates, load_run, ordered_front
from xnas_tf.storage.run_directory import now, write_atomically
from xnas_tf.strategy.recommendation import recommend
from xnas_tf.utils.argument_types import NUMBER, PATH, WHOLE, check_types
from xnas_tf.version import __version__

MARK = '<meta name="generator" content="xnas-tf report">'
"""Identifies a file as a report, which may be replaced by a newer one."""
SCRIPTS = ("base.js", "plot.js", "front.js", "search.js", "retrained.js", "models.js")
STYLE, PAGE = "report.css", "report.html"


@check_types(out=PATH, models=WHOLE, images=WHOLE, within=NUMBER)
def save_report(  # noqa: PLR0913 - options with defaults
    run: Run | str | Path,
    out: str | Path | None = None,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate = (),
    models: int = 8,
    images: int = 8,
    log: Callable[[str], None] = lambda _: None,
    prefer: str | None = None,
    within: float | None = None,
    safe: bool = True,
) -> Path:
    """Write a report on a finished or running search: one HTML file that loads nothing else.

    Args:
        run: The run, or its directory.
        out: The file; ``RUN/report.html`` if None. Only an earlier report is overwritten.
        candidates: Candidates whose models are shown: ids, ``recommended`` or ``best``; the
            Pareto-optimal ones if empty.
        models: Maximum number of Pareto-optimal models shown; with 0 no model is opened.
        images: Number of test images for which each model's attributions are shown.
        log: Called with progress messages.
        prefer: What decides which candidate is recommended; see ``Run.recommendation``.
        within: Percentage points by which its error may exceed the best.
        safe: Whether to refuse models that contain code of their own, as a Lambda layer does.

    Returns:
        The file.

    Raises:
        InputError: If there is no such run or candidate, or the file is something else or cannot
            be written.
    """
    run = load_run(run)
    path = Path(out) if out else run.path / "report.html"
    _check_writable(path)
    page = render(report_data(run, candidates, models, images, log, prefer, within, safe))
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise InputError(f"`out` {path} cannot be written: {error}") from error
    return path


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
    """Collect all data that the page shows; see ``save_report`` for the arguments."""
    everyone = run.candidates()
    front = ordered_front(everyone, run.config)  # of the same moment, while a search is running
    recommended = recommend(front, run.config, run.validation_counts, prefer, within)
    chosen = chosen_models(run, front, candidates, models, recommended.id)
    comparable = comparable_candidates(everyone, front)
    log("what the objectives depend on")
    return {
        "run": run.path.resolve().name,
        "made": now(),
        "version": __version__,
        "dataset": run.config.dataset.name,
        "status": status_text(run_status(run, recommended)),
        **search_data(run, everyone, front, recommended),
        "influence": importance_data(comparable, run.config, np.random.default_rng(0)),
        "models": models_data(run, chosen, images, log, safe),
        "retrainings": retrainings_data(run),
        "interpretations": interpretations_data(run),
    }


def render(data: dict[str, Any]) -> str:
    """Return the page, with its data as JSON.

    The JSON contains no ``<``, so no text in it can become markup. The content security policy
    allows only the page's own script and style and the pictures in it.
    """
    assets = files(__package__) / "assets"
    texts = [(assets / name).read_text(encoding="utf-8") for name in (*SCRIPTS, STYLE, PAGE)]
    *scripts, style, page = texts
    script = "\n".join(['"use strict";', *scripts])
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(page).substitute(
        mark=MARK,
        policy=policy,
        # The name of a folder may contain bytes that are not valid text.
        title=html.escape(data["run"]).encode("ascii", "xmlcharrefreplace").decode(),
        style=style,
        script=script,
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _check_writable(path: Path) -> None:
    """Raise an error if the file cannot be written, or is something other than a report."""
    if not path.parent.is_dir():
        raise InputError(f"`out` {path}: there is no folder {path.parent}")
    try:
        is_report = not path.exists() or MARK in path.read_text("utf-8", "replace")[:1000]
    except OSError as error:
        raise InputError(f"`out` {path} cannot be written: {error}") from error
    if not is_report:
        raise InputError(
            f"{path} exists, is no report and was not touched; name another file with `out`"
        )
