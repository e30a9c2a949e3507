"""Parallel-coordinates figure of candidates' hyperparameters and objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.figures.axis_scale import LOG_SCALE, logarithmic
from xnas_tf.figures.importance import hyperparameters
from xnas_tf.interpretation.drawing import BLUE, GREY, ORANGE, new_figure
from xnas_tf.objectives.base import Objective
from xnas_tf.utils.number_format import format_value, setting_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HYPERPARAMETERS = 16
"""Maximum number of hyperparameters to draw."""
LABELLED = 8
"""Maximum number of values of a hyperparameter for all of them to be labelled."""


@dataclass(frozen=True)
class Upright:
    """One vertical axis, with each candidate's height on it (N,), and tick labels by height.

    Heights are from 0 to 1. Better objective values are higher; inactive hyperparameters are NaN.
    """

    title: str
    heights: np.ndarray
    ticks: dict[float, str]


def uprights(candidates: Sequence[Candidate], config: Config) -> list[Upright]:
    """Return one axis for each hyperparameter that varies, then one for each objective."""
    found = []
    varied = [each for each in hyperparameters(candidates) if len(each.values) > 1]
    for each in varied[:HYPERPARAMETERS]:
        places = np.array(each.places, float)
        last = len(each.values) - 1
        shown = range(last + 1) if last < LABELLED else (0, last)
        ticks = {place / last: setting_text(each.values[place]) for place in shown}
        found.append(Upright(each.name, np.where(places < 0, np.nan, places / last), ticks))
    log = logarithmic(candidates, config.objectives)
    return found + [_of_objective(candidates, each, each.name in log) for each in config.objectives]


def _of_objective(
    candidates: Sequence[Candidate], objective: Objective, is_logarithmic: bool
) -> Upright:
    values = np.array([candidate.objectives[objective.name] for candidate in candidates])
    places = -objective.sign * (np.log(values) if is_logarithmic else values)
    heights = (places - places.min()) / (np.ptp(places) or 1.0)
    ends = {0.0: values[places.argmin()], 1.0: values[places.argmax()]}
    ticks = {height: format_value(end) for height, end in ends.items()}
    title = objective.heading + LOG_SCALE * is_logarithmic
    return Upright(title, heights, ticks if np.ptp(places) > 0 else {0: ticks[0]})


def parallel_figure(
    candidates: Sequence[Candidate],
    front: Sequence[Candidate],
    config: Config,
    recommended: int | None,
) -> Figure:
    """Draw one line per candidate through its hyperparameters and objectives.

    Pareto-optimal candidates are blue, the recommended one is orange, and the others are grey.
    Better values of an objective are at the top.
    """
    axes = uprights(candidates, config)
    heights = np.array([upright.heights for upright in axes]).T
    figure = new_figure(max(6.0, 1.05 * len(axes)), 4.2)
    axis = figure.subplots()
    ids = {candidate.id for candidate in front}
    ranks = np.array([(c.id in ids) + (c.id == recommended) for c in candidates])
    opacity = 0.5 if len(candidates) <= 300 else 0.12
    kinds = {
        "others": (GREY, opacity, 1.0),
        "Pareto-optimal": (BLUE, 0.9, 1.5),
        f"recommended: {recommended}": (ORANGE, 1.0, 3.0),
    }
    for rank, (label, (colour, alpha, width)) in enumerate(kinds.items()):
        for number, line in enumerate(heights[ranks == rank]):
            known = np.flatnonzero(np.isfinite(line))
            name = None if number else label
            axis.plot(known, line[known], color=colour, alpha=alpha, linewidth=width, label=name)
    _draw_uprights(axis, axes)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _draw_uprights(axis: Axes, axes: Sequence[Upright]) -> None:
    for place, upright in enumerate(axes):
        axis.axvline(place, color="#404040", linewidth=0.8, zorder=0)
        is_last = place == len(axes) - 1
        for height, label in upright.ticks.items():
            axis.annotate(
                label,
                (place, height),
                (-3 if is_last else 3, 0),
                textcoords="offset points",
                ha="right" if is_last else "left",
                va="center",
                fontsize=7,
                bbox={"boxstyle": "square,pad=0.1", "color": "white", "alpha": 0.7},
            )
    titles = [upright.title for upright in axes]
    axis.set_xticks(range(len(axes)), titles, rotation=30, ha="left", fontsize=8)
    axis.xaxis.tick_top()
    axis.set(yticks=[], xlim=(-0.1, len(axes) - 0.9), ylim=(-0.05, 1.05))
    axis.spines[:].set_visible(False)
