"""Collects and draws how a run's Pareto front improved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.figures.axis_scale import LOG_SCALE, logarithmic, set_logarithmic
from xnas_tf.interpretation.drawing import BLUE, GREY, ORANGE, new_figure, wrapped
from xnas_tf.strategy.hypervolume import Box, HypervolumeMeter
from xnas_tf.strategy.pareto import Front, ended_candidates
from xnas_tf.utils.number_format import ten_digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = 1.3
"""Height of a panel in inches, which leaves room for the title of its axis."""
_MAX_CHANGES = 200
"""Maximum number of changes of the front for which to compute the hypervolume. Computing it is slow
with five objectives and hundreds of points."""


class _Change(NamedTuple):
    """A change of the front, and the candidates to measure once the hypervolume's unit is known."""

    trained: int
    hours: float | None
    front: Sequence[Candidate]
    measured: Sequence[Candidate] | None


def progress_data(
    candidates: Iterable[Candidate], config: Config, box: Box | None = None
) -> dict[str, list[Any]]:
    """Compute the front's hypervolume and best objective values after each change.

    ``box`` is the unit of the hypervolume, if not the run's own unit.

    Returns:
        The hypervolumes, as logged by the search itself (None until their unit is known), and the
        best values of each objective, (objectives, changes). Each change comes with the number of
        candidates trained and the hours since the first candidate started training.
    """
    ended = ended_candidates(candidates)
    meter = HypervolumeMeter([], config, box)
    begin = min((c.started for c in ended if c.started), default="")
    front, exact, trained = Front(config), Front(config, is_exact=True), 0
    changes: list[_Change] = []
    for candidate in ended:
        trained += candidate.trained
        has_changed = front.add(candidate) | exact.add(candidate) | meter.update(candidate)
        if has_changed or candidate is ended[-1]:
            hours = _hours(begin, candidate.finished)
            measured = exact.candidates if meter.has_unit else None
            changes.append(_Change(trained, hours, front.candidates, measured))
    step = math.ceil(len(changes) / _MAX_CHANGES) or 1
    shown = [change for change in changes[::-1][::step][::-1] if change.front]
    return {
        "trainings": [change.trained for change in shown],
        "hours": [ten_digits(change.hours) for change in shown],
        "hypervolume": [ten_digits(meter(c.measured)) if c.measured else None for c in shown],
        "best": [
            [
                ten_digits(o.sign * min(o.sign * c.objectives[o.name] for c in m.front))
                for m in shown
            ]
            for o in config.objectives
        ],
    }


def _hours(begin: str, end: str) -> float | None:
    if not (begin and end):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600


def history_figure(candidates: Sequence[Candidate], config: Config) -> Figure:
    """Draw one panel per objective, with its best value on the front, and one for hypervolume.

    The hypervolume is left out while it is unknown, and with a single objective, where it would add
    nothing.
    """
    ended = ended_candidates(candidates)
    trained = np.cumsum([c.trained for c in ended], dtype=int)
    done = [(at, c.objectives) for at, c in zip(trained, ended, strict=True) if c.state == "done"]
    log = logarithmic(candidates, config.objectives)
    progress = progress_data(candidates, config)
    hypervolume = np.array(progress["hypervolume"], float)
    has_hypervolume = len(config.objectives) > 1 and bool(np.isfinite(hypervolume).any())
    count = len(config.objectives) + has_hypervolume
    figure = new_figure(6, 1.2 + 1.5 * count)
    axes = figure.subplots(count, sharex=True, squeeze=False)[:, 0]
    for axis, objective, best in zip(axes, config.objectives, progress["best"], strict=False):
        points = np.array([(at, values[objective.name]) for at, values in done]).reshape(-1, 2)
        axis.plot(*points.T, ".", color=GREY, label="a candidate")
        axis.step(progress["trainings"], best, where="post", color=BLUE, label="best on the front")
        title = objective.heading + LOG_SCALE * (objective.name in log)
        axis.set_ylabel(wrapped(title, PANEL), fontsize=8)
        if objective.name in log:
            set_logarithmic(axis, "y")
    if has_hypervolume:
        # A single value, as at the end of generation 0, would show no line.
        style: dict[str, Any] = {"where": "post", "color": ORANGE, "marker": "."}
        axes[-1].step(progress["trainings"], hypervolume, **style)
        axes[-1].set_ylabel("hypervolume ↑", fontsize=8)
    axes[-1].set_xlabel("trainings")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.align_ylabels(axes)
    return figure
