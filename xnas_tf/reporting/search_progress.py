"""Shows the progress of a running search."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.strategy.successive_halving import epochs_of, expected_epochs
from xnas_tf.utils.number_format import brief_value, counted
from xnas_tf.utils.progress import Update, has_bar, log_message, metrics_text, progress_bar

LOGGER = logging.getLogger(__name__)


class SearchProgress(Callback):
    """A progress bar over the epochs of a search, with a line for each candidate that ends."""

    def __init__(self, config: Config, seconds_spent: float = 0.0) -> None:
        self._config = config
        self._goal = config.search.candidates
        self._seconds_limit = (config.search.hours or math.inf) * 3600 - seconds_spent
        self._trained = 0
        self._epochs = 0
        self._session_epochs = 0
        self._begin = time.monotonic()
        self._bar = ExitStack()
        self._update: Update = lambda *_: None
        self._summary_text = ""

    def on_search_begin(self, run: SearchRun) -> None:
        """See ``Callback.on_search_begin``."""
        self._update = self._bar.enter_context(progress_bar("candidate 1", self._goal))
        for candidate in run:
            self._count(candidate)
        goal = counted(self._goal, "candidate")
        done = f", {self._trained:,} of them done" if self._trained else ""
        self.on_message(f"run directory {run.path}: {goal} to train in all{done}")
        self._update(self._trained, self._goal, "")

    def on_search_end(self, run: SearchRun, error: BaseException | None) -> None:
        """See ``Callback.on_search_end``."""
        self._bar.close()

    def on_message(self, text: str) -> None:
        """See ``Callback.on_message``."""
        log_message(text)

    def on_epoch_end(
        self, run: SearchRun, candidate: Candidate, epoch: int, logs: Mapping[str, float]
    ) -> None:
        """See ``Callback.on_epoch_end``."""
        about = f"candidate {candidate.id}: epoch {epoch} of {candidate.epochs}"
        self._show(about)
        LOGGER.debug("%s: %s", about, metrics_text(logs))

    def on_candidate_end(self, run: SearchRun, candidate: Candidate) -> None:
        """See ``Callback.on_candidate_end``."""
        self._session_epochs += self._count(candidate)
        summary = self._summary(run)
        left = self._time_left()
        self._summary_text = f"{left}{summary}".strip()
        about = f"candidate {candidate.id}"
        self._show(about if candidate.counts else f"{about} {candidate.state}")
        if candidate.state == "failed":
            LOGGER.warning("%s failed: %s", about, candidate.reason)
        if candidate.state == "done" and candidate.reason:
            level = logging.WARNING if candidate.collapsed else logging.INFO
            LOGGER.log(level, "%s: %s", about, candidate.reason)
        # A collapsed network may be on the front, for example as the smallest, but is no result.
        is_announced = not candidate.collapsed and candidate in run.pareto()
        is_on_front = "  on the front" if is_announced else ""
        summed = "" if has_bar() else f"{summary}  {left}".rstrip()
        count = f"{self._trained}/{self._goal}"
        LOGGER.info("%s %s%s%s", count, self._line(candidate), is_on_front, summed)

    def _show(self, text: str) -> None:
        self._update(self._trained, self._goal, f"{text}  {self._summary_text}")

    def _count(self, candidate: Candidate) -> int:
        """Count a candidate that has ended, and return its number of epochs."""
        self._trained += candidate.trained and not candidate.promoted_from
        epochs = epochs_of(self._config.rungs, candidate.epochs) if candidate.trained else 0
        self._epochs += epochs
        return epochs

    def _summary(self, run: SearchRun) -> str:
        """Return a summary of the front, with its fidelity if the search has several."""
        front, hypervolume = run.pareto(), run.hypervolume()
        if not front:
            return ""
        learned = [candidate for candidate in front if not candidate.collapsed]
        if not learned:
            return "  the front has only collapsed candidates"
        name, sign = self._config.objectives[0].name, self._config.objectives[0].sign
        best = sign * min(sign * c.objectives[name] for c in learned)
        is_single = len(self._config.objectives) == 1  # the hypervolume adds nothing
        volume = "" if hypervolume is None or is_single else f"  hypervolume {hypervolume:.3f}"
        epochs = f" ({counted(front[0].epochs, 'epoch')})" if len(self._config.rungs) > 1 else ""
        return f"  best {name} {brief_value(best)}{volume}{epochs}"

    def _line(self, candidate: Candidate) -> str:
        """Return a line of text about a candidate that has ended."""
        promoted = f" (promoted from {candidate.promoted_from})" if candidate.promoted_from else ""
        about = f"candidate {candidate.id}{promoted}"
        source = candidate.reused_from or f"{candidate.seconds_total:.1f} s"
        if candidate.state != "done":  # the reason for a failure has its own line
            reason = "" if candidate.state == "failed" else f": {candidate.reason}"
            return f"{about} {candidate.state}{reason}  ({source})"
        values = [f"{name} {brief_value(value)}" for name, value in candidate.objectives.items()]
        collapsed = ["collapsed"] if candidate.collapsed else []
        violated = candidate.violations(self._config.constraints)
        violations = [f"violates constraints ({violated})"] if violated else []
        texts = [*values, *collapsed, *violations, f"({source})"]
        return f"{about}: {'  '.join(texts)}"

    def _time_left(self) -> str:
        """Return an estimate of the time left, as text; empty if unknown or none is expected."""
        epochs_left = expected_epochs(self._config.rungs, self._goal) - self._epochs
        if epochs_left <= 0 or not self._session_epochs:
            return ""
        elapsed = time.monotonic() - self._begin
        seconds = elapsed / self._session_epochs * epochs_left
        return f"{duration(max(0.0, min(seconds, self._seconds_limit - elapsed)))} left"


def duration(seconds: float) -> str:
    """Format seconds for humans: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
