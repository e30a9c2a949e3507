"""What a person sees of a running search, on stderr."""

from __future__ import annotations

import math
import time
from pathlib import Path

from rich import progress as bars
from rich.console import Console
from rich.markup import escape

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.execution.callbacks import Callback
from xnas_tf.strategy.successive_halving import epochs_of, expected_epochs


class SearchProgress(Callback):
    """One progress bar in a terminal; one line a candidate in a log file.

    Args:
        config: The configuration.
        path: The run directory.
        spent: Seconds that earlier sessions of the run took.
    """

    def __init__(self, config: Config, path: Path, spent: float = 0.0) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._goal = config.search.candidates
        self._limit = (config.search.hours or math.inf) * 3600 - spent
        self._first = config.objectives[0]
        self._path = path
        self._trained = 0
        self._rungs = config.rungs
        self._epochs = self._fresh = 0
        """Epochs of all trainings, and of those in this session."""
        self._begin = time.monotonic()
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[left]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("candidate 1", total=self._goal, left="")

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        self._print(f"run directory {escape(str(self._path))}: {self._goal} candidates to train")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """See ``Callback.note``."""
        self._print(escape(text))

    def candidate(
        self, candidate: Candidate, is_new: bool, front: list[Candidate], hypervolume: float
    ) -> None:
        """See ``Callback.candidate``."""
        self._trained += candidate.trained and not candidate.promoted_from
        if candidate.trained:
            epochs = epochs_of(self._rungs, candidate.epochs)
            self._epochs += epochs
            self._fresh += epochs * is_new
        best = min((self._first.sign * c.objectives[self._first.name] for c in front), default=None)
        summary = f"hypervolume {hypervolume:.3f}"
        if best is not None:
            summary = f"best {self._first.name} {self._first.sign * best:.4g}  {summary}"
        self._bar.update(
            self._task,
            completed=self._trained,
            description=f"candidate {candidate.id}  {summary}",
            left=f"{self._left()} left",
        )
        if candidate.state == "failed" and is_new:
            self._print(f"[red]candidate {candidate.id} failed:[/red] {escape(candidate.reason)}")
        if candidate.collapsed and is_new:
            self._print(f"[yellow]candidate {candidate.id}:[/yellow] {escape(candidate.reason)}")
        if is_new and not self._console.is_terminal:
            self._print(
                f"{self._trained}/{self._goal} {_line(candidate)}  {summary}  {self._left()} left"
            )

    def _left(self) -> str:
        if not self._fresh:
            return "?"
        spent = time.monotonic() - self._begin
        wanted = spent / self._fresh * (expected_epochs(self._rungs, self._goal) - self._epochs)
        return duration(max(0.0, min(wanted, self._limit - spent)))

    def _print(self, text: str) -> None:
        self._console.print(text)


def _line(candidate: Candidate) -> str:
    values = "  ".join(f"{name} {value:.4g}" for name, value in candidate.objectives.items())
    what = values or candidate.state
    how = candidate.answered_by or f"{candidate.seconds_total:.1f} s"
    promoted = f" ({candidate.promoted_from} goes on)" if candidate.promoted_from else ""
    collapsed = "  collapsed" if candidate.collapsed else ""
    return escape(f"candidate {candidate.id}{promoted}: {what}{collapsed}  ({how})")


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
