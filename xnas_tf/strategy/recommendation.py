"""Recommends a candidate of a front, using the same rule for all commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, suggest
from xnas_tf.strategy.compromise import (
    ERROR,
    ROUNDING,
    by_error,
    compromise,
    joined,
    knee,
    other_objectives,
    validation_error,
)
from xnas_tf.strategy.options import Goals
from xnas_tf.utils.intervals import accuracy_interval, better_than_chance
from xnas_tf.utils.number_format import brief_value, percent_text

KNEE = "knee"
TOLERANCE = 2.0
"""Percentage points above the best error that are always tolerated."""
INTERVAL = "its 95% interval"
"""The tolerance in words if it is the interval of the best error."""
ADVICE = (
    "change how they are trained: the learning rate ({rate}), more epochs (training.epochs), "
    "normalisation layers in the model"
)


@dataclass(frozen=True)
class Recommendation:
    """A candidate of a front, and the reason why it is recommended.

    Attributes:
        id: Id of the candidate; None if none is recommended.
        why: One line with the reason, and a comparison with the lowest error or, if none is
            recommended, advice on what to change.
        best: Id of the candidate with the lowest validation error on the front, even if this error
            is high; None if no error is known.
        on_test: What is noticeable about the model on the test split, on which the choice did not
            depend: an accuracy clearly below that of validation, and classes for which it is much
            worse. Empty if there is nothing, or it has not been tested.
    """

    id: int | None
    why: str
    best: int | None = None
    on_test: str = ""

    @property
    def text(self) -> str:
        """Format as ``candidate 12 (error 4.1%, …)``, with ``on_test``, or ``none, as …``."""
        if self.id is None:
            return f"none, as {self.why}"
        on_test = f". On the test split: {self.on_test}" if self.on_test else ""
        return f"candidate {self.id} ({self.why}){on_test}"


def recommend(
    front: Sequence[Candidate],
    config: Goals,
    validation_counts: Sequence[int] | None,
    prefer: str | None = None,
    within: float | None = None,
    has_own_optimizer: bool = False,
    range_problem: str = "",
) -> Recommendation:
    """Recommend a candidate of a front.

    A candidate must be better than chance: its validation accuracy (lower end of the 95% interval)
    must be higher than that of always predicting the most frequent class. Of these, candidates are
    eligible if their error is inside the 95% interval of the best error, or at most 2 percentage
    points above it. The one that is best in the remaining objective is chosen; with several, the
    one with the smallest mean of the costs, each scaled to [0, 1] over the candidates that are
    better than chance. Differences within the standard error of the best value do not count. Ties
    go to the lower error, then to the lower id.

    Args:
        front: The Pareto-optimal candidates, in any order.
        config: The run's configuration.
        validation_counts: Number of validation images of each class. If None, every candidate whose
            accuracy is known counts as better than chance.
        prefer: ``error``, the name of an objective, or ``knee``: replaces the rule and chooses
            among all candidates that are better than chance.
        within: Tolerance above the best error in percentage points, instead of the 95% interval or
            2; also applies to ``prefer``.
        has_own_optimizer: Whether the HyperModel compiles its models with their own optimizer.
        range_problem: Why the models do not suit the images' range of values; empty if they do.

    Raises:
        InputError: If ``prefer`` is not an allowed value, or ``within`` is negative or not finite.
    """
    _check(config, prefer, within)
    if not front:
        kept = " that satisfies all constraints" if config.constraints else ""
        return Recommendation(None, f"no candidate has a result yet{kept}")
    known = [candidate for candidate in front if not math.isnan(validation_error(candidate))]
    known.sort(key=by_error)
    learned = [candidate for candidate in known if _has_learned(candidate, validation_counts)]
    if not learned:
        rate = "in build(hp)" if has_own_optimizer else "training.learning_rate"
        advice = range_problem or ADVICE.format(rate=rate)
        why = _why_none(len(front), known, validation_counts, advice)
        return Recommendation(None, why, known[0].id if known else None)
    best = learned[0]
    limit, tolerance = _tolerated(best, validation_counts, within)
    near = [candidate for candidate in learned if validation_error(candidate) <= limit + ROUNDING]
    is_limited = within is not None or not prefer
    eligible = near if is_limited else learned
    chosen, reason = (
        knee(eligible, config) if prefer == KNEE else compromise(eligible, learned, config, prefer)
    )
    parts = [
        _gap(chosen, best),
        _nearness(chosen, best, len(near), len(learned), tolerance) if is_limited else "",
        _caution(chosen, best, validation_counts) if is_limited and tolerance == INTERVAL else "",
        reason or ("" if prefer else _advantage(chosen, best, len(near), config)),
        _comparison(chosen, best, config),
    ]
    if validation_counts is None:
        parts.append("chance level unknown (run of an earlier version)")
    elif left := len(known) - len(learned):
        parts.append(f"{left} on the front no better than chance, left out")
    return Recommendation(chosen.id, "; ".join(filter(None, parts)), best.id)


def _check(config: Goals, prefer: str | None, within: float | None) -> None:
    allowed = dict.fromkeys([ERROR, *(o.name for o in config.objectives), KNEE])
    if prefer is not None and prefer not in allowed:
        raise InputError(f"`prefer`: there is no {suggest(prefer, allowed)}")
    if within is not None and not 0 <= within < math.inf:
        raise InputError(f"`within` {within:g}; allowed: 0 or more percentage points")


def _has_learned(candidate: Candidate, counts: Sequence[int] | None) -> bool:
    if counts is None:
        return True
    images = sum(counts)
    return better_than_chance((1 - validation_error(candidate)) * images, images, max(counts))


def _tolerated(
    best: Candidate, counts: Sequence[int] | None, within: float | None
) -> tuple[float, str]:
    """Return the largest tolerated error, and the tolerance in words."""
    error = validation_error(best)
    points = TOLERANCE if within is None else within
    limit = error + points / 100
    if within is None and counts is not None:
        images = sum(counts)
        interval = accuracy_interval((1 - error) * images, images)
        assert interval is not None  # there are images, or nothing would be better than chance
        if 1 - interval[0] > limit:
            return 1 - interval[0], INTERVAL
    return limit, f"{points:g} point{'s' * (points != 1)} of it"


def _points_above(chosen: Candidate, best: Candidate) -> float:
    return 100 * (validation_error(chosen) - validation_error(best))


def _gap(chosen: Candidate, best: Candidate) -> str:
    points = _points_above(chosen, best)
    gap = f"{points:.1f} points above the best, {best.id}" if points else "the lowest on the front"
    return f"error {percent_text(validation_error(chosen))}, {gap}"


def _nearness(chosen: Candidate, best: Candidate, near: int, learned: int, tolerance: str) -> str:
    """Describe how many candidates are close enough to the best error."""
    if chosen is not best:
        return f"within {tolerance}"
    if near == 1:
        return f"no other within {tolerance}" if learned > 1 else ""
    return f"one of {near} within {tolerance}"


def _caution(chosen: Candidate, best: Candidate, counts: Sequence[int] | None) -> str:
    """If the error is clearly above the best, note that the interval is wide due to few images."""
    if counts is None or _points_above(chosen, best) <= TOLERANCE + ROUNDING:
        return ""
    return (
        f"only {sum(counts):,} validation images, so this interval is wide: choose candidate "
        f'{best.id} ("best") for the lowest error'
    )


def _advantage(chosen: Candidate, best: Candidate, near: int, config: Goals) -> str:
    """Explain why the candidate with the lowest error is preferred to others close to it."""
    names = other_objectives(config)
    if chosen is not best or near == 1 or not names:
        return ""
    is_estimated = any(f"{name}/standard_error" in chosen.metrics for name in names)
    within = ", give or take a standard error" if is_estimated else ""
    return f"among these the best in {joined(names)}{within}"


def _comparison(chosen: Candidate, best: Candidate, config: Goals) -> str:
    """Compare the other objectives with those of the candidate with the lowest error."""
    if chosen is best:
        return ""
    values = {
        name: [brief_value(each.objectives[name], 3) for each in (chosen, best)]
        for name in other_objectives(config)
    }
    return ", ".join(f"{name} {ours} against {theirs}" for name, (ours, theirs) in values.items())


def _why_none(
    size: int, known: Sequence[Candidate], counts: Sequence[int] | None, advice: str
) -> str:
    """Explain why nothing is recommended, and what to change."""
    if not known:
        return "no candidate on the front has a recorded validation accuracy"
    assert counts is not None  # otherwise all known candidates count as better than chance
    share, best = max(counts) / sum(counts), 1 - validation_error(known[0])
    subject = f"none of the {size} candidates" if size > 1 else "the one candidate"
    negated = "is" if size > 1 else "is not"
    return (
        f"{subject} on the front {negated} clearly better (95% interval) than always predicting "
        f"the commonest class ({percent_text(share)} of the validation images; validation accuracy "
        f"{percent_text(best)} at most): {advice}"
    )
