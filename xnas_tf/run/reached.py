"""What a search has reached, as launch sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xnas_tf.errors import InputError
from xnas_tf.run.deaths import DEATHS
from xnas_tf.run.directory import Run


@dataclass(frozen=True)
class Reached:
    """What a search has reached by some moment.

    Attributes:
        ended: Candidates that have ended, except by deaths: those were counted when they were
            noted, or are only suspected.
        deaths: Deaths that were noted.
        checkpoints: Names and times of the checkpoints.
    """

    ended: int
    deaths: int
    checkpoints: frozenset[tuple[str, float]]

    def is_beyond(self, before: Reached | None) -> bool:
        """Whether it is more than was reached before; None: nothing. A checkpoint that is gone
        is no progress: its candidate may have ended by its deaths."""
        if before is None:
            return True
        is_more = self.ended > before.ended or self.deaths > before.deaths
        return is_more or not self.checkpoints <= before.checkpoints


def reached(run: Path) -> Reached | None:
    """What has been reached in a run directory; None before there is a record, or a whole one."""
    try:
        candidates = Run(run).candidates()
    except InputError:
        return None
    return Reached(
        sum(c.answer > 0 and not (c.state == "failed" and c.deaths >= DEATHS) for c in candidates),
        sum(c.deaths for c in candidates),
        frozenset(_checkpoints(run)),
    )


def _checkpoints(run: Path) -> Iterator[tuple[str, float]]:
    for path in run.glob("checkpoints/*.npz"):
        with suppress(FileNotFoundError):  # its candidate has just ended
            yield path.name, path.stat().st_mtime
