"""Reads the progress of a run from its database."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from xnas_tf.candidate import NO_GROUP, Candidate
from xnas_tf.execution.stopping import SPENT
from xnas_tf.reporting.search_progress import duration
from xnas_tf.reporting.utilisation import utilisation
from xnas_tf.storage.run import Run
from xnas_tf.storage.snapshot import Snapshot
from xnas_tf.strategy.recommendation import Recommendation
from xnas_tf.strategy.successive_halving import epochs_of, expected_epochs
from xnas_tf.utils.number_format import counted

_LOST = ("failed", "infeasible")


def run_status(run: Run, found: Snapshot | None = None) -> dict[str, Any]:
    """Return the counts and times of a run (of its snapshot, if given) as JSON values.

    Counts of candidates by state exclude promotions (``search.fidelity``) unless stated otherwise.
    """
    found = found or run.snapshot()
    candidates, recommended = found.candidates, found.recommended
    trained = [candidate for candidate in candidates if candidate.trained]
    groups, ranks = run.groups()
    spent = sum(candidate.seconds_total for candidate in candidates) / groups
    ended = bool(run.fact("ended"))
    # Candidates trained per hour of evaluation, and the time left; None before the first one.
    per_hour = seconds_left = None
    if trained and spent:
        per_hour = len(trained) / spent * 3600
        seconds_left = 0.0 if ended else _seconds_left(run, trained, spent)
    return {
        "run": str(run.path),
        "searching": run.is_searching(),
        "ended": ended,
        "ended_because": str(run.fact("ended_because") or "") if ended else "",
        "wanted": run.config.search.candidates,
        **_counts(run, candidates),
        "groups": groups,
        "ranks_per_group": ranks,
        "utilisation": utilisation(candidates),
        "per_hour": per_hour,
        "seconds_left": seconds_left,
        "recommended": recommended.id,
        "why": recommended.why,
        "on_test": recommended.on_test,
    }


def _counts(run: Run, candidates: Sequence[Candidate]) -> dict[str, Any]:
    states = Counter(c.state for c in candidates if not c.promoted_from)
    reached = Counter(c.epochs for c in candidates if c.state == "done")
    reused = sum(c.counts for c in candidates) - sum(c.trained for c in candidates)
    proposed_again = run.fact("duplicates") or 0
    return {
        **{state: states[state] for state in ("done", "failed", "infeasible", "duplicate")},
        # Trained, but violating the limit of a value that is known only after training.
        "violating": sum(
            not c.promoted_from and bool(c.violations(run.config.constraints)) for c in candidates
        ),
        # Including promotions.
        "collapsed": sum(c.state == "done" and c.collapsed for c in candidates),
        "collapsed_because": run.collapse_text(candidates),
        # Done by reusing the results of earlier runs.
        "reused": reused,
        # Being evaluated, or interrupted when the search was killed, but not queued.
        "running": sum(c.state == "running" and c.group != NO_GROUP for c in candidates),
        # Number of candidates that are done, by the epochs that they were trained for.
        "reached": {epochs: reached[epochs] for epochs in run.config.rungs},
        "promotions_failed": sum(bool(c.promoted_from) and c.state in _LOST for c in candidates),
        "trainings_saved": states["infeasible"] + states["duplicate"] + reused + proposed_again,
    }


def _seconds_left(run: Run, trained: list[Candidate], spent: float) -> float:
    """Estimate the time until all candidates are trained or ``search.hours`` have passed."""
    search, rungs = run.config.search, run.config.rungs
    epochs = sum(epochs_of(rungs, candidate.epochs) for candidate in trained)
    remaining = spent / epochs * (expected_epochs(rungs, search.candidates) - epochs)
    seconds = (search.hours or math.inf) * 3600
    return max(0.0, min(remaining, seconds - (run.fact(SPENT) or 0)))


def status_text(status: Mapping[str, Any], width: int | None = None) -> str:
    """Format the values of ``run_status`` as text, wrapped between words if a width is given."""
    shown = [f"{name:17}{text}" for name, text in status_facts(status).items()]
    if width:
        wrap = partial(textwrap.fill, width=max(40, width), subsequent_indent=" " * 17)
        shown = [wrap(line, break_on_hyphens=False, break_long_words=False) for line in shown]
    return "\n".join(shown)


def status_facts(status: Mapping[str, Any]) -> dict[str, str]:
    """Return the applicable values of ``run_status`` as names and texts."""
    failed, duplicates, reused = (status[name] for name in ("failed", "duplicate", "reused"))
    done, wanted, violating = status["done"] - reused, status["wanted"], status["violating"]
    of = f" of {wanted}" if done + failed <= wanted else f", {wanted} wanted"
    outside = ""
    if violating:
        outside = f"{violating}, not on the front (xnas-tf pareto --all lists them)"
    lines = {
        "run": f"{status['run']}: {_state_text(status)}",
        "trained": f"{done + failed}{of} ({done} done, {failed} failed)",
        "violate limits": outside,
        "epochs": _reached_text(status) if len(status["reached"]) > 1 else "",
        "collapsed": status["collapsed_because"],
        "infeasible": status["infeasible"],
        "known networks": f"{duplicates + reused} ({counted(duplicates, 'duplicate')}, "
        f"{reused} reused from earlier runs)",
        "running": status["running"],
        "trainings saved": status["trainings_saved"],
    }
    if status["per_hour"] is not None:
        lines["rate"] = f"{counted(round(status['per_hour']), 'training')} per hour"
        each = counted(status["ranks_per_group"], "rank")
        shares = ", ".join(f"{share:.0%}" for share in status["utilisation"].values())
        lines["groups"] = f"{status['groups']} of {each}, busy {shares} of the time"
        lines["time left"] = duration(status["seconds_left"])
    lines["recommended"] = Recommendation(
        status["recommended"], status["why"], on_test=status["on_test"]
    ).text
    return {name: str(text) for name, text in lines.items() if text != ""}


def _state_text(status: Mapping[str, Any]) -> str:
    if status["searching"]:
        return "searching"
    if not status["ended"]:
        return "stopped; run the same search command again to resume"
    because = status["ended_because"]  # empty in runs from earlier versions
    return f"finished: {because}" if because else "finished"


def _reached_text(status: Mapping[str, Any]) -> str:
    """Return text like ``16 candidates reached 1, 5 reached 3``."""
    (first, count), *others = status["reached"].items()
    texts = [f"{counted(count, 'candidate')} reached {first}"]
    texts += [f"{count} reached {epochs}" for epochs, count in others]
    if status["promotions_failed"]:
        texts.append(f"{status['promotions_failed']} failed before they did")
    return ", ".join(texts)
