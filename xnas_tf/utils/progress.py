"""Shows messages and the progress of a running command in a terminal, notebook or log file.

All messages are records of the ``xnas_tf`` logger, which a ``Display`` shows during a command.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.text import Text

from xnas_tf.errors import InputError
from xnas_tf.utils.number_format import brief_value

LOGGER = logging.getLogger("xnas_tf")
SHOWN_LINES = 10
"""Number of most recent lines that a notebook shows. Warnings and the lines logged before the work
began, such as notes on the data, are always shown."""
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""The lowest log level that is shown, by verbosity."""
_SILENT = logging.CRITICAL + 1
Update = Callable[[float, float, str], None]
"""Called with the completed amount, the total, and a description of the current work."""
ShowEpoch = Callable[[int, int, dict[str, float]], None]
"""Called with the number of an epoch, the number of epochs, and the epoch's metrics."""
ShowStep = Callable[[int, int], None]
"""Called with the number of completed steps and the number of all steps."""


class Display(logging.Handler):
    """Log handler that prints messages on stderr or, in a notebook, updates one output of the cell.

    The levels of ``verbose`` are 0 for warnings only, 1 to add messages and a bar, and 2 to add a
    line per epoch.
    """

    def __init__(self, verbose: int) -> None:
        if verbose not in range(len(_LEVELS)):
            raise InputError(f"`verbose` {verbose!r}: allowed: 0, 1 or 2")
        super().__init__(_LEVELS[verbose])
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self.cell = _Cell() if self.console.is_jupyter else None

    def set_verbosity(self, verbose: int) -> None:
        """Change which messages are shown."""
        self.setLevel(_LEVELS[verbose])
        LOGGER.setLevel(_LEVELS[verbose])

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler.emit``."""
        try:
            text, is_warning = self.format(record), record.levelno >= logging.WARNING
            if self.cell:
                self.cell.add(text, is_warning)
            else:
                self.console.print(Text(text, "red" if is_warning else ""))
        except Exception:  # noqa: BLE001 - as in all handlers of the standard library
            self.handleError(record)


class _Cell:
    """One output of a notebook cell: a bar above the first and the most recent messages."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, bool]] = []
        self._has_moved = False
        self._first = 0  # number of lines logged before the bar moved
        self._bar = ""
        self._handle: Any = None

    def add(self, line: str, is_warning: bool) -> None:
        """Add a message."""
        self._first += not self._has_moved
        self._lines.append((line, is_warning))
        self._show()

    def update(self, completed: float, total: float, text: str) -> None:
        """Draw the bar, or move it."""
        self._has_moved = bool(self._bar)
        shown = html.escape(f"{completed:g}/{total:g}  {text}")
        self._bar = (
            f'<progress max="{total:g}" value="{completed:g}"></progress> '
            f'<span style="white-space:pre-wrap">{shown}</span>'
        )
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML, display  # noqa: PLC0415 - optional

        hidden = len(self._lines) - SHOWN_LINES
        lines = [
            f'<span style="color:#c00">{html.escape(line)}</span>' if red else html.escape(line)
            for number, (line, red) in enumerate(self._lines)
            if red or number < self._first or number >= hidden
        ]
        style = "margin:0;white-space:pre-wrap"
        content = HTML(f'{self._bar}<pre style="{style}">{"<br>".join(lines)}</pre>')
        if self._handle is None:
            self._handle = display(content, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content)


def log_message(text: str) -> None:
    """Log a message for the user, as a warning if it begins with ``warning:``."""
    LOGGER.log(logging.WARNING if text.startswith("warning: ") else logging.INFO, text)


def display() -> Display | None:
    """Return the display of the running command, or None if it has none."""
    return next((each for each in LOGGER.handlers if isinstance(each, Display)), None)


def has_bar() -> bool:
    """Return whether a bar can be shown; log files and warnings-only output have none."""
    handler = display()
    if handler is None or handler.level > logging.INFO:
        return False
    return bool(handler.cell) or handler.console.is_terminal


@contextmanager
def displayed(verbose: int = 1) -> Iterator[None]:
    """Show messages and progress inside the context, unless an outer context already does."""
    if display() is not None:
        yield
        return
    handler = Display(verbose)
    level, propagate = LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(min(level or handler.level, handler.level))
    LOGGER.propagate = False  # otherwise a root handler prints each message again
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = propagate


def silence() -> None:
    """Stop output on this rank, because rank 0 shows the progress of all ranks."""
    if handler := display():
        handler.setLevel(_SILENT)


@contextmanager
def progress_bar(text: str, total: float | None = None) -> Iterator[Update]:
    """Show a bar inside the context if possible, and yield the function that advances it."""
    handler = display()
    if handler is None or not has_bar():
        yield lambda _completed, _total, _text: None
    elif handler.cell:
        yield handler.cell.update
    else:
        columns = (
            bars.BarColumn(20),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.description}", markup=False),
        )
        with bars.Progress(*columns, console=handler.console, transient=True) as shown:
            task = shown.add_task(text, total=total)
            yield lambda completed, total, text: shown.update(
                task, completed=completed, total=total, description=text
            )


@contextmanager
def epochs_bar() -> Iterator[ShowEpoch]:
    """Show the epochs of training as a bar, or as lines where a bar is not possible."""
    level = logging.DEBUG if has_bar() else logging.INFO
    with progress_bar("training") as update:

        def show(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
            text = metrics_text(metrics)
            update(epoch, epochs, text)
            LOGGER.log(level, "epoch %d of %d: %s", epoch, epochs, text)

        yield show


@contextmanager
def steps_bar(text: str) -> Iterator[ShowStep]:
    """Show the steps of a task as a bar, or as ten lines where a bar is not possible."""
    with progress_bar(text) as update:

        def show(step: int, steps: int) -> None:
            update(step, steps, text)
            if not has_bar() and step * 10 // steps > (step - 1) * 10 // steps:
                LOGGER.info("%s: %d of %d", text, step, steps)

        yield show


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Format metrics as one line."""
    return "  ".join(f"{name} {brief_value(value)}" for name, value in metrics.items())
