"""The progress of a running search on stderr."""

from __future__ import annotations

import math
import time

from rich import progress as bars
from rich.console import Console
from rich.markup import escape

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.strategy.successive_halving import epochs_of, expected_epochs


class SearchProgress(Callback):
    """Show a progress bar in a terminal, or print one line per candidate to a log file."""

    def __init__(self, config: Config, seconds_spent: float = 0.0) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._config = config
        self._goal = config.search.candidates
        self._seconds_limit = (config.search.hours or math.inf) * 3600 - seconds_spent
        self._trained = 0
        self._epochs = 0
        self._session_epochs = 0
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

    def on_search_begin(self, run: SearchRun) -> None:
        """See ``Callback.on_search_begin``."""
        self._bar.start()
        self.on_message(f"run directory {run.path}: {self._goal} candidates to train in all")
        for candidate in run:
            self._count(candidate)
        self._bar.update(self._task, completed=self._trained)

    def on_search_end(self, run: SearchRun, error: BaseException | None) -> None:
        """See ``Callback.on_search_end``."""
        self._bar.stop()

    def on_message(self, text: str) -> None:
        """See ``Callback.on_message``."""
        self._console.print(escape(text))

    def on_candidate_end(self, run: SearchRun, candidate: Candidate) -> None:
        """See ``Callback.on_candidate_end``."""
        self._session_epochs += self._count(candidate)
        summary = self._summary(run)
        left = f"{self._time_left()} left"
        about = f"candidate {candidate.id}"
        state = "" if candidate.counts else f" {candidate.state}"
        self._bar.update(
            self._task, completed=self._trained, description=f"{about}{state}{summary}", left=left
        )
        if candidate.state == "failed":
            self._console.print(f"[red]{about} failed:[/red] {escape(candidate.reason)}")
        if candidate.collapsed:
            self._console.print(f"[yellow]{about}:[/yellow] {escape(candidate.reason)}")
        if not self._console.is_terminal:
            count = f"{self._trained}/{self._goal}"
            self._console.print(escape(f"{count} {self._line(candidate)}{summary}  {left}"))

    def _count(self, candidate: Candidate) -> int:
        """Count a candidate that has ended, and return the epochs of its training."""
        self._trained += candidate.trained and not candidate.promoted_from
        epochs = epochs_of(self._config.rungs, candidate.epochs) if candidate.trained else 0
        self._epochs += epochs
        return epochs

    def _summary(self, run: SearchRun) -> str:
        """Return what is known of the front; its fidelity too, if there are several."""
        front, hypervolume = run.pareto(), run.hypervolume()
        if not front:
            return ""
        name, sign = self._config.objectives[0].name, self._config.objectives[0].sign
        best = sign * min(sign * c.objectives[name] for c in front)
        volume = "" if hypervolume is None else f"  hypervolume {hypervolume:.3f}"
        epochs = f" ({front[0].epochs} epochs)" if len(self._config.rungs) > 1 else ""
        return f"  best {name} {best:.4g}{volume}{epochs}"

    def _line(self, candidate: Candidate) -> str:
        """Return one line for a log file on any candidate that has ended."""
        promoted = f" (promoted from {candidate.promoted_from})" if candidate.promoted_from else ""
        about = f"candidate {candidate.id}{promoted}"
        source = candidate.reused_from or f"{candidate.seconds_total:.1f} s"
        if candidate.state != "done":  # the reason of a failure has a line of its own
            reason = "" if candidate.state == "failed" else f": {candidate.reason}"
            return f"{about} {candidate.state}{reason}  ({source})"
        values = [f"{name} {value:.4g}" for name, value in candidate.objectives.items()]
        collapsed = ["collapsed"] if candidate.collapsed else []
        violated = candidate.violations(self._config.constraints)
        violations = [f"violates constraints ({violated})"] if violated else []
        texts = [*values, *collapsed, *violations, f"({source})"]
        return f"{about}: {'  '.join(texts)}"

    def _time_left(self) -> str:
        if not self._session_epochs:
            return "?"
        elapsed = time.monotonic() - self._begin
        epochs_left = expected_epochs(self._config.rungs, self._goal) - self._epochs
        seconds = elapsed / self._session_epochs * epochs_left
        return duration(max(0.0, min(seconds, self._seconds_limit - elapsed)))


def duration(seconds: float) -> str:
    """Format seconds for people: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
