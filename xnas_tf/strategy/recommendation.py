"""The candidate of a front that is recommended: one rule for every command that has to choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, suggest
from xnas_tf.strategy.goals import Goals
from xnas_tf.strategy.knee import knee, normalised
from xnas_tf.strategy.pareto import costs
from xnas_tf.utils.intervals import accuracy_interval, better_than_chance

ERROR, KNEE = "error", "knee"
OF_ERROR = (ERROR, "metric:accuracy")
"""Objectives that say what the tolerance is about."""
POINTS = 2.0
"""Percentage points above the best error that are tolerated, at least."""
ROUNDING = 1e-9
WHAT_TO_CHANGE = (
    "change how they are trained: the learning rate (training.learning_rate), more epochs "
    "(training.epochs), normalisation layers in the model"
)


@dataclass(frozen=True)
class Recommendation:
    """A candidate of a front, and why it is recommended.

    Attributes:
        id: Of the candidate; None where none is recommended.
        why: In one line why it is this one, and what it gives up against the best error; or
            why there is none, and what to change.
        best: Id of the one with the least validation error on the front, however large that is;
            None where no error is known.
    """

    id: int | None
    why: str
    best: int | None = None

    @property
    def text(self) -> str:
        """``candidate 12 (error 4.1%, …)``, or ``none, as …``."""
        return f"none, as {self.why}" if self.id is None else f"candidate {self.id} ({self.why})"


def recommend(
    front: Sequence[Candidate],
    config: Goals,
    validation_counts: Sequence[int] | None,
    prefer: str | None = None,
    within: float | None = None,
) -> Recommendation:
    """Recommends a candidate of a front.

    A candidate whose validation accuracy is not better than that of always answering the
    commonest class (lower end of the 95% interval) is never recommended. Of the others, those
    count whose error is near the best: inside the interval of the best error or at most 2
    points above it. Among these the best in the remaining objectives is chosen; if there are
    several, the one with the smallest mean of their costs, each scaled to [0, 1]. Ties go to
    the lower error, then to the lower id.

    Args:
        front: The Pareto-optimal candidates, in any order.
        config: The run's configuration.
        validation_counts: Validation images of each class; None if they are not known: then
            every candidate counts as better than chance whose accuracy is known.
        prefer: ``error``, the name of an objective, or ``knee``: what decides instead, among
            all candidates that are better than chance.
        within: Percentage points above the best error that are tolerated instead; with
            ``prefer`` too.

    Raises:
        InputError: If ``prefer`` is no such name, or ``within`` is no number from 0.
    """
    _check(config, prefer, within)
    if not front:
        return Recommendation(None, "no candidate has a result yet that keeps all limits")
    known = [candidate for candidate in front if not math.isnan(_error(candidate))]
    known.sort(key=_by_error)
    able = [candidate for candidate in known if _has_learned(candidate, validation_counts)]
    if not able:
        why = _why_none(len(front), known, validation_counts)
        return Recommendation(None, why, known[0].id if known else None)
    best = able[0]
    most, bound = _tolerated(best, validation_counts, within)
    near = [candidate for candidate in able if _error(candidate) <= most + ROUNDING]
    is_limited = within is not None or not prefer
    chosen, reason = _choose(near if is_limited else able, config, prefer)
    parts = [
        _gap(chosen, best),
        _nearness(chosen, best, len(near), len(able), bound) if is_limited else "",
        _lead(chosen, best, len(near), config) if not prefer else reason,
        _comparison(chosen, best, config),
    ]
    if validation_counts is None:
        parts.append("chance level unknown (run of an earlier version)")
    elif left := len(known) - len(able):
        parts.append(f"{left} on the front no better than chance, left out")
    return Recommendation(chosen.id, "; ".join(filter(None, parts)), best.id)


def _check(config: Goals, prefer: str | None, within: float | None) -> None:
    allowed = dict.fromkeys([ERROR, *(o.name for o in config.objectives), KNEE])
    if prefer is not None and prefer not in allowed:
        raise InputError(f"--prefer: there is no {suggest(prefer, allowed)}")
    if within is not None and not 0 <= within < math.inf:
        raise InputError(f"--within {within:g}: allowed: 0 or more percentage points")


def _error(candidate: Candidate) -> float:
    """The validation error, also where it is no objective; NaN if it is not known."""
    return 1 - candidate.metrics.get("val_accuracy", math.nan)


def _by_error(candidate: Candidate) -> tuple[float, int]:
    return _error(candidate), candidate.id


def _has_learned(candidate: Candidate, counts: Sequence[int] | None) -> bool:
    if counts is None:
        return True
    correct = (1 - _error(candidate)) * sum(counts)
    return better_than_chance(correct, sum(counts), max(counts))


def _tolerated(
    best: Candidate, counts: Sequence[int] | None, within: float | None
) -> tuple[float, str]:
    """The largest error that is tolerated, and what that is."""
    error = _error(best)
    points = POINTS if within is None else within
    most = error + points / 100
    if within is None and counts is not None:
        images = sum(counts)
        upper = 1 - accuracy_interval((1 - error) * images, images)[0]
        if upper > most:
            return upper, "its 95% interval"
    return most, f"{points:g} point{'s' * (points != 1)} of it"


def _others(config: Goals) -> list[int]:
    """Places of the objectives that are left when the error is near enough."""
    return [at for at, o in enumerate(config.objectives) if o.name not in OF_ERROR]


def _choose(
    eligible: Sequence[Candidate], config: Goals, prefer: str | None
) -> tuple[Candidate, str]:
    """The best of the candidates that may be chosen, and by what, if not by the rule."""
    if prefer == KNEE:
        return knee(eligible, config)
    values = costs(eligible, config)
    if prefer == ERROR:
        places = []
    elif prefer:
        places = [[o.name for o in config.objectives].index(prefer)]
    else:
        places = _others(config)
    values = values[:, places]
    if len(places) > 1:
        values = normalised(values)  # without those in which they do not differ
    ranks = [
        (cost, *_by_error(candidate))
        for cost, candidate in zip(values.sum(axis=1), eligible, strict=True)
    ]
    chosen = eligible[min(range(len(eligible)), key=ranks.__getitem__)]
    return chosen, f"preferred: the best {prefer}" if prefer else ""


def _gap(chosen: Candidate, best: Candidate) -> str:
    """What is given up against the best error."""
    error = _error(chosen)
    points = 100 * (error - _error(best))
    gap = f"{points:.1f} points above the best, {best.id}" if points else "the least on the front"
    return f"error {error:.1%}, {gap}"


def _nearness(chosen: Candidate, best: Candidate, near: int, able: int, bound: str) -> str:
    """Whether others were near enough to the best error to be chosen."""
    if chosen is not best:
        return f"within {bound}"
    if near == 1:
        return f"no other within {bound}" if able > 1 else ""
    return f"one of {near} within {bound}"


def _lead(chosen: Candidate, best: Candidate, near: int, config: Goals) -> str:
    """By what the least error won over others that were near enough."""
    names = [config.objectives[place].name for place in _others(config)]
    if chosen is not best or near == 1 or not names:
        return ""
    what = "the best in" if len(names) == 1 else "the best mean of"
    return f"among these {what} {' and '.join(names)} too"


def _comparison(chosen: Candidate, best: Candidate, config: Goals) -> str:
    """What is gained for it, in the other objectives."""
    if chosen is best:
        return ""
    names = [config.objectives[place].name for place in _others(config)]
    return ", ".join(
        f"{name} {_number(chosen.objectives[name])} against {_number(best.objectives[name])}"
        for name in names
    )


def _number(value: float) -> str:
    is_whole = float(value).is_integer() or abs(value) >= 1000
    return f"{value:,.0f}" if is_whole else f"{value:.3g}"


def _why_none(size: int, known: Sequence[Candidate], counts: Sequence[int] | None) -> str:
    """Why nothing is recommended, and what to change."""
    if not known:
        return "no candidate on the front has a recorded validation accuracy"
    assert counts is not None  # or those that are known would have learned
    share, best = max(counts) / sum(counts), 1 - _error(known[0])
    who = f"none of the {size} candidates" if size > 1 else "the one candidate"
    negated = "is" if size > 1 else "is not"
    return (
        f"{who} on the front {negated} better than always answering the commonest class "
        f"({share:.1%} of the validation images; validation accuracy {best:.1%} at most): "
        f"{WHAT_TO_CHANGE}"
    )
