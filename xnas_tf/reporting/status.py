"""The progress of a run, by its record."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from xnas_tf.candidate import NO_GROUP, Candidate
from xnas_tf.execution.stopping import SPENT
from xnas_tf.reporting.collapses import collapse_text
from xnas_tf.reporting.search_progress import duration
from xnas_tf.reporting.utilisation import utilisation
from xnas_tf.storage.run import Run
from xnas_tf.strategy.recommendation import Recommendation
from xnas_tf.strategy.successive_halving import epochs_of, expected_epochs

_LOST = ("failed", "infeasible")


@dataclass(frozen=True)
class Status:
    """Counts and times of a run.

    Attributes:
        run: The run directory.
        searching: Whether a process is searching at this moment.
        ended: Whether the search has ended.
        ended_because: Why it ended; empty before.
        wanted: Trainings to do, without promotions (``search.fidelity``).
        done: Candidates with objective values, without promotions.
        failed: Candidates that failed, without promotions; ``infeasible`` and ``duplicate``
            likewise.
        collapsed: Candidates that are done, promotions included, whose training collapsed.
        collapsed_because: The likely cause; empty if none collapsed.
        answered: Candidates that are done with the results of earlier runs.
        running: Candidates in flight or interrupted by a kill, without those that are queued.
        reached: The number of candidates done by epochs of training, for each rung.
        promotions_failed: Promotions that failed or were infeasible.
        trainings_saved: Trainings avoided: infeasible candidates, duplicates, results of earlier
            runs, and offspring that had been proposed before.
        groups: Groups of ranks that train at the same time.
        ranks_per_group: Ranks in each group.
        utilisation: By group, the share of its time that it spent evaluating rather than waiting
            for a candidate.
        per_hour: Trainings per hour, from the time of the evaluations and the number of groups;
            None before the first.
        seconds_left: Time that the remaining trainings will take at that rate, or that
            ``search.hours`` leaves if less; None before the first training.
        recommended: Id of the recommended candidate; None if there is none.
        why: Why it is recommended, or why none is.
    """

    run: str
    searching: bool
    ended: bool
    ended_because: str
    wanted: int
    done: int
    failed: int
    infeasible: int
    duplicate: int
    collapsed: int
    collapsed_because: str
    answered: int
    running: int
    reached: dict[int, int]
    promotions_failed: int
    trainings_saved: int
    groups: int
    ranks_per_group: int
    utilisation: dict[int, float]
    per_hour: float | None
    seconds_left: float | None
    recommended: int | None
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Return all attributes as JSON-serialisable values."""
        return asdict(self)


def run_status(run: Run, recommended: Recommendation | None = None) -> Status:
    """Read the status of a run.

    Args:
        run: The run.
        recommended: The recommendation; by the default rule if None.
    """
    candidates = run.candidates()
    states = Counter(c.state for c in candidates if not c.promoted_from)
    reached = Counter(c.epochs for c in candidates if c.state == "done")
    trained = [candidate for candidate in candidates if candidate.trained]
    answered = sum(candidate.counts for candidate in candidates) - len(trained)
    saved = states["infeasible"] + states["duplicate"] + answered
    groups, ranks = run.groups()
    spent = sum(candidate.seconds_total for candidate in candidates) / groups
    ended = bool(run.fact("ended"))
    recommended = recommended or run.recommendation()
    return Status(
        run=str(run.path),
        searching=run.is_searching(),
        ended=ended,
        ended_because=str(run.fact("ended_because") or "") if ended else "",
        wanted=run.config.search.candidates,
        done=states["done"],
        failed=states["failed"],
        infeasible=states["infeasible"],
        duplicate=states["duplicate"],
        collapsed=sum(c.state == "done" and c.collapsed for c in candidates),
        collapsed_because=collapse_text(candidates, run.config),
        answered=answered,
        running=sum(c.state == "running" and c.group != NO_GROUP for c in candidates),
        reached={epochs: reached[epochs] for epochs in run.config.rungs},
        promotions_failed=sum(bool(c.promoted_from) and c.state in _LOST for c in candidates),
        trainings_saved=saved + int(_number_fact(run, "duplicates")),
        groups=groups,
        ranks_per_group=ranks,
        utilisation=utilisation(candidates),
        per_hour=len(trained) / spent * 3600 if trained and spent else None,
        seconds_left=_seconds_left(run, trained, spent, ended) if trained and spent else None,
        recommended=recommended.id,
        why=recommended.why,
    )


def _seconds_left(run: Run, trained: list[Candidate], spent: float, ended: bool) -> float:
    """Estimate the time until all trainings are done or ``search.hours`` are over."""
    if ended:
        return 0.0
    search = run.config.search
    rungs = run.config.rungs
    epochs = sum(epochs_of(rungs, candidate.epochs) for candidate in trained)
    remaining = spent / epochs * (expected_epochs(rungs, search.candidates) - epochs)
    hours = math.inf if search.hours is None else search.hours
    return max(0.0, min(remaining, hours * 3600 - _number_fact(run, SPENT)))


def _number_fact(run: Run, name: str) -> float:
    fact = run.fact(name)
    return fact if isinstance(fact, int | float) else 0


def status_text(status: Status) -> str:
    """Format a status as text."""
    if status.searching:
        state = "searching"
    elif status.ended:
        state = "finished"
        if status.ended_because:  # empty in runs of earlier versions
            state += f": {status.ended_because}"
    else:
        state = "stopped; to resume it, run the same search command again"
    trained = status.done - status.answered
    lines = [
        f"run              {status.run}: {state}",
        f"trained          {trained + status.failed} of {status.wanted}"
        f" ({trained} done, {status.failed} failed)",
        f"infeasible       {status.infeasible}",
        f"known networks   {status.duplicate + status.answered}"
        f" ({status.duplicate} duplicates, {status.answered} answered by earlier runs)",
        f"running          {status.running}",
        f"trainings saved  {status.trainings_saved}",
    ]
    if status.collapsed:
        lines.insert(2, f"collapsed        {status.collapsed_because}")
    if len(status.reached) > 1:
        lines.insert(2, f"epochs           {_reached_text(status)}")
    if status.per_hour is not None:
        lines.append(f"rate             {status.per_hour:.0f} trainings per hour")
        lines.append(f"groups           {_groups_text(status)}")
        lines.append(f"time left        {duration(status.seconds_left or 0)}")
    lines.append(f"recommended      {Recommendation(status.recommended, status.why).text}")
    return "\n".join(lines)


def _reached_text(status: Status) -> str:
    """Return for example ``16 candidates reached 1, 5 reached 3``."""
    first, *others = (f"{count} reached {epochs}" for epochs, count in status.reached.items())
    failed = [f"{status.promotions_failed} failed on the way"] if status.promotions_failed else []
    return ", ".join([first.replace(" ", " candidates ", 1), *others, *failed])


def _groups_text(status: Status) -> str:
    """Return for example ``4 of 2 ranks, busy 99%, 98%, 99%, 97% of the time``."""
    each = "1 rank" if status.ranks_per_group == 1 else f"{status.ranks_per_group} ranks"
    shares = [f"{share:.0%}" for share in status.utilisation.values()]
    return f"{status.groups} of {each}, busy {', '.join(shares)} of the time"
