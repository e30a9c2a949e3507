"""Gathers what a run has to say and writes it as one HTML file."""

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

from xnas_tf.errors import InputError
from xnas_tf.reporting.html.importance import influence_data
from xnas_tf.reporting.html.interpretations import interpretations_data
from xnas_tf.reporting.html.models import chosen_models, models_data
from xnas_tf.reporting.html.retrainings import retrainings_data
from xnas_tf.reporting.html.search import search_data
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.storage.run import Run, load_run, now, ordered_front, write_whole
from xnas_tf.strategy.recommendation import recommend
from xnas_tf.version import __version__

MARK = '<meta name="generator" content="xnas-tf report">'
"""By this a report is known as one, and may be replaced by a newer one."""
SCRIPTS = ("base.js", "plot.js", "front.js", "search.js", "retrained.js", "models.js")


def save_report(
    run: Run | str | Path,
    out: str | Path | None = None,
    candidates: Sequence[int | str] = (),
    models: int = 8,
    images: int = 8,
    tell: Callable[[str], None] = lambda _: None,
    prefer: str | None = None,
    within: float | None = None,
) -> Path:
    """Writes a report of a finished or running run: one HTML file that loads nothing else.

    Args:
        run: The run, or its directory.
        out: The file; ``RUN/report.html`` if None. An earlier report is replaced, nothing else.
        candidates: Whose models are shown: ids, ``recommended`` or ``best``; the Pareto-optimal
            if empty.
        models: Pareto-optimal models shown, at most; with 0 no model is opened.
        images: Test images that each model's attributions are shown for.
        tell: Is told what is at work.
        prefer: What decides on the candidate that is recommended; see ``Run.recommendation``.
        within: Percentage points above the best error that it may be.

    Returns:
        The file.

    Raises:
        InputError: If there is no such run or candidate, or the file is something else or cannot
            be written.
    """
    run = run if isinstance(run, Run) else load_run(run)
    path = Path(out) if out else run.path / "report.html"
    _check(path)
    page = render(report_data(run, candidates, models, images, tell, prefer, within))
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error}") from error
    return path


def report_data(
    run: Run,
    candidates: Sequence[int | str],
    models: int,
    images: int,
    tell: Callable[[str], None],
    prefer: str | None = None,
    within: float | None = None,
) -> dict[str, Any]:
    """All that the page shows; see ``save_report``."""
    everyone = run.candidates()
    front = ordered_front(everyone, run.config)  # not another one of a run that goes on
    recommended = recommend(front, run.config, run.validation_counts, prefer, within)
    chosen = chosen_models(run, front, candidates, models, recommended.id)
    alike = [c for c in everyone if c.state == "done" and front and c.epochs == front[0].epochs]
    tell("what the objectives depend on")
    return {
        "run": run.path.resolve().name,
        "made": now(),
        "version": __version__,
        "dataset": run.config.dataset.name,
        "status": status_text(run_status(run, recommended)),
        **search_data(run, everyone, front, recommended),
        "influence": influence_data(alike, run.config, np.random.default_rng(0)),
        "models": models_data(run, chosen, images, tell),
        "retrainings": retrainings_data(run),
        "interpretations": interpretations_data(run),
    }


def render(data: dict[str, Any]) -> str:
    """The page, with its data as JSON in which no tag can begin: texts reach the document as
    texts only. Its policy allows nothing but its own script and style and the pictures in it.
    """
    assets = files(__package__) / "assets"
    script = "\n".join((assets / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n{script}'
    style = (assets / "report.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template((assets / "report.html").read_text(encoding="utf-8")).substitute(
        mark=MARK,
        policy=policy,
        # A folder's name may have bytes that are no text.
        title=html.escape(data["run"]).encode("ascii", "xmlcharrefreplace").decode(),
        style=style,
        script=script,
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _check(path: Path) -> None:
    """Refuses early what cannot be written in the end, or must not be."""
    if not path.parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}")
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            if MARK.encode() in file.read(1000):
                return
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error}") from error
    raise InputError(
        f"{path} is there already, is no report and was not touched; name another with --out"
    )
