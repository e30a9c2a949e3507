"""Writes a report on a run, on several runs or on a model as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, cannot_write
from xnas_tf.reporting.html.comparison import comparison_data
from xnas_tf.storage.model_source import is_run
from xnas_tf.storage.run import Run, load_run
from xnas_tf.storage.run_directory import write_atomically
from xnas_tf.utils.argument_types import NUMBER, PATH, WHOLE, check_types
from xnas_tf.utils.html_page import MARK, html_page
from xnas_tf.utils.progress import log_message

if TYPE_CHECKING:
    from xnas_tf.data import Dataset
    from xnas_tf.explanation.model_loading import AnyModel

SCRIPTS = {
    "run": "base plot models candidates front tables search retrained run".split(),
    "comparison": ["base", "plot", "comparison"],
    "model": ["base", "plot", "models", "model"],
}
"""The scripts of each kind of report."""


@check_types(out=PATH, models=WHOLE, images=WHOLE, within=NUMBER)
def save_report(  # noqa: PLR0913 - options with defaults
    run: AnyModel | Sequence[Run | str | Path],
    out: str | Path | None = None,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate = (),
    models: int = 8,
    images: int = 8,
    log: Callable[[str], None] = log_message,
    prefer: str | None = None,
    within: float | None = None,
    safe: bool = True,
    *,
    dataset: str | Dataset | None = None,
    input_range: str = "auto",
) -> Path:
    """Write a report as a single self-contained HTML file.

    Args:
        run: A finished or running search, several searches to compare, or a model, given as a Keras
            image classifier, a candidate, or the path of a ``.keras`` file or an exported
            candidate.
        out: The file. If None, ``RUN/report.html`` for a run, ``comparison.html`` for several runs,
            or ``NAME-report.html`` for a model. An existing file is overwritten only if it is a
            report.
        candidates: Candidates whose models are shown, as ids, ``recommended`` or ``best``; if
            empty, the Pareto-optimal ones.
        models: Maximum number of Pareto-optimal models to show; if 0, no model is opened.
        images: Number of test images for which to show each model's attributions.
        log: Called with progress messages.
        prefer: Criterion for the recommended candidate; see ``Run.recommendation``.
        within: Percentage points by which the recommended candidate's error may exceed the lowest
            error.
        safe: Whether to reject models that contain Python code, as a Lambda layer does.
        dataset: Data set on which to measure a model, or the name of one, which is loaded at the
            size of the model's input; if None, the data set of the model's run.
        input_range: Range of the values that a model expects, as ``LOW-HIGH`` or ``auto``; see
            ``keras_tools.input_range.range_of``.

    Returns:
        The file.

    Raises:
        InputError: If a run, candidate or model does not exist, the runs cannot be compared, or the
            file is not a report or cannot be written.
        RunError: If the disk is full.
    """
    runs: list[Any] = list(run) if isinstance(run, list | tuple) else [run]
    if not runs:
        raise InputError("`run`: the list is empty; allowed: one or several runs, or a model")
    if len(runs) == 1 and _is_model(runs[0]):
        _refuse("a model", candidates=candidates, prefer=prefer, within=within)
        from xnas_tf.reporting.html import model_report  # noqa: PLC0415 - heavy

        path = _checked(out or f"{model_report.model_name(runs[0])}-report.html")
        data = model_report.model_data(runs[0], dataset, images, log, safe, input_range)
        return _write(path, "model", data)
    given_range = None if input_range == "auto" else input_range
    _refuse("a run, whose own data are used", dataset=dataset, input_range=given_range)
    opened = [load_run(each) for each in runs]
    if len(opened) == 1:
        path = _checked(out or opened[0].path / "report.html")
        from xnas_tf.reporting.html.run_report import report_data  # noqa: PLC0415 - heavy

        data = report_data(opened[0], candidates, models, images, log, prefer, within, safe)
        return _write(path, "run", data)
    _refuse("several runs", candidates=candidates)
    path = _checked(out or "comparison.html")
    return _write(path, "comparison", comparison_data(opened, prefer, within))


def render(data: dict[str, Any], kind: str = "run") -> str:
    """Return the page for a kind of report (see ``SCRIPTS``), whose scripts draw the data."""
    assets = files(__package__) / "assets"
    scripts = [(assets / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS[kind]]
    return html_page(data["title"], subtitle=data["subtitle"], scripts=scripts, data=data)


def _is_model(given: Any) -> bool:
    if isinstance(given, str | Path):
        path = Path(given)
        is_model = path.is_file() or path.suffix == ".keras" or (path / "model.keras").is_file()
        return is_model and not is_run(path)
    return isinstance(given, Candidate) or hasattr(given, "layers")


def _refuse(what: str, **given: Any) -> None:
    """Raise an error if one of these options is given, since none of them applies."""
    for name, value in given.items():
        if value is not None and value != ():
            raise InputError(f"`{name}` does not apply to {what}")


def _write(path: Path, kind: str, data: dict[str, Any]) -> Path:
    try:
        write_atomically(path, render(data, kind).encode())
    except OSError as error:
        raise cannot_write(f"`out` {path}", error) from error
    return path


def _checked(file: str | Path) -> Path:
    """Raise an error if the file cannot be written, or is something other than a report."""
    path = Path(file)
    if not path.parent.is_dir():
        raise InputError(f"`out` {path}: there is no folder {path.parent}")
    try:
        is_report = not path.exists() or MARK in path.read_text("utf-8", "replace")[:1000]
    except OSError as error:
        raise cannot_write(f"`out` {path}", error) from error
    if not is_report:
        raise InputError(
            f"{path} exists, is not a report and was not touched; choose another file with `out`"
        )
    return path
