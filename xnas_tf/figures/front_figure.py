"""Figure of a run's Pareto front."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.figures.axis_scale import LOG_SCALE, logarithmic, set_logarithmic
from xnas_tf.figures.uncertainty import interval_of, too_wide
from xnas_tf.interpretation.drawing import BLUE, GREY, ORANGE, new_figure
from xnas_tf.utils.number_format import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CANDIDATE = "candidate"
"""Label of the axis of ids, against which a single objective is drawn."""


@dataclass(frozen=True)
class FrontInfo:
    """The data shown in a figure of a Pareto front.

    Attributes:
        names: The K objectives drawn.
        front: Values (N, K) of the Pareto-optimal candidates, sorted by the first objective.
        ids: Ids of the Pareto-optimal candidates.
        dominated: Values (M, K) of the other finished candidates with the fidelity of the front.
        violating: Values (V, K) of those with this fidelity that violate constraints.
        collapsed: Values (C, K) of those with this fidelity whose training collapsed. They may also
            be in ``front`` or ``violating``, but not in ``dominated``.
        recommended: Row of the recommended candidate in ``front``, if any.
        titles: The objectives' titles, each with an arrow that points towards better values.
        intervals: The 95% intervals of ``front``, (N, K, 2); NaN where unknown.
        undrawn: Number of intervals as wide as the range of possible values.
        logarithmic: The objectives whose axes are logarithmic.
    """

    names: tuple[str, ...]
    front: np.ndarray
    ids: tuple[int, ...]
    dominated: np.ndarray
    violating: np.ndarray
    collapsed: np.ndarray
    recommended: int | None
    titles: tuple[str, ...]
    intervals: np.ndarray
    undrawn: int = 0
    logarithmic: frozenset[str] = frozenset()


def front_info(
    candidates: Sequence[Candidate],
    front: Sequence[Candidate],
    config: Config,
    recommended: int | None,
    validation_images: int = 0,
) -> FrontInfo:
    """Collect the values of all objectives; if there is only one, its values and the ids."""
    names = [objective.name for objective in config.objectives]
    width = max(2, len(names))

    def values(chosen: Sequence[Candidate]) -> np.ndarray:
        rows = [[*(c.objectives[name] for name in names), c.id][:width] for c in chosen]
        return np.array(rows, dtype=float).reshape(-1, width)

    ordered = sorted(front, key=lambda c: c.objectives[names[0]])
    ids = tuple(c.id for c in ordered)
    on_front = set(ids)
    done = [c for c in candidates if c.state == "done" and c.id not in on_front]
    others = [c for c in done if not ordered or c.epochs == ordered[0].epochs]
    violating = [c for c in others if c.violations(config.constraints)]
    dominated = [c for c in others if not c.violations(config.constraints) and not c.collapsed]
    collapsed = [c for c in [*ordered, *others] if c.collapsed]
    # Candidates of a running search may have been read later than its recommendation.
    row = ids.index(recommended) if recommended in ids else None
    shown = tuple([*names, CANDIDATE][:width])
    log = logarithmic(candidates, config.objectives)
    headings = [o.heading + LOG_SCALE * (o.name in log) for o in config.objectives]
    titles = tuple([*headings, CANDIDATE][:width])
    intervals = np.full((len(ordered), width, 2), np.nan)
    pairs = list(itertools.product(enumerate(ordered), enumerate(config.objectives)))
    for (place, candidate), (column, objective) in pairs:
        intervals[place, column] = interval_of(candidate, objective, validation_images)
    undrawn = sum(too_wide(candidate, objective) for (_, candidate), (_, objective) in pairs)
    rest = values(dominated), values(violating), values(collapsed)
    return FrontInfo(shown, values(ordered), ids, *rest, row, titles, intervals, undrawn, log)


def front_figure(info: FrontInfo) -> Figure:
    """Draw a Pareto front, with one panel for each pair of objectives.

    Pareto-optimal candidates are blue, and dominated ones are grey. Orange crosses mark candidates
    that violate constraints, and a ring marks the recommended candidate. Black plus signs mark
    collapsed candidates, including those that are Pareto-optimal or violate constraints. Bars show
    the 95% intervals of the Pareto-optimal candidates. With two objectives, a line bounds the
    region dominated by the front.
    """
    size = len(info.names) - 1
    figure = new_figure(*((6, 4.6) if size == 1 else (2.6 * size, 2.2 * size + 0.4)))
    panels = figure.subplots(size, size, sharex="col", sharey="row", squeeze=False)
    for row, column in itertools.product(range(size), repeat=2):
        if column > row:
            panels[row, column].set_axis_off()
        else:
            _draw_pair(panels[row, column], info, (column, row + 1))
    for i in range(size):
        panels[-1, i].set_xlabel(info.titles[i])
        panels[i, 0].set_ylabel(info.titles[i + 1])
    handles = panels[-1, 0].get_legend_handles_labels()
    if size == 1:
        figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    else:
        panels[0, -1].legend(*handles, loc="upper right", fontsize=9)
    return figure


def _draw_pair(axes: Axes, info: FrontInfo, pair: tuple[int, int]) -> None:
    """Draw two objectives; if there are no others, add the front's boundary and the ids."""
    front = info.front[:, pair]
    is_only = len(info.names) == 2
    area, size = (36, 6.0) if is_only else (9, 3.5)
    for name, column in zip("xy", pair, strict=True):
        if info.names[column] in info.logarithmic:
            set_logarithmic(axes, name)
    kinds = {
        "dominated": (info.dominated, "o", GREY, area),
        "violates constraints": (info.violating, "x", ORANGE, area),
        "collapsed": (info.collapsed, "+", "black", 4 * area),  # wider than the dots of the front
    }
    for label, (values, marker, colour, extent) in kinds.items():
        if len(values):
            x, y = values[:, pair].T
            axes.scatter(x, y, s=extent, color=colour, marker=marker, label=label)
    axes.plot(*front.T, "o", markersize=size, color=BLUE, label="Pareto-optimal")
    if (row := info.recommended) is not None:
        style: dict[str, Any] = {"fillstyle": "none", "color": ORANGE, "markeredgewidth": 2}
        label = f"recommended: {info.ids[row]}"
        axes.plot(*front[row], "o", markersize=2 * size, label=label, **style)
    if is_only and info.names[1] != CANDIDATE:
        # Between two neighbours, the front dominates points that are worse than both.
        steps = "steps-post" if "↓" in info.titles[0] else "steps-pre"
        axes.plot(*front.T, drawstyle=steps, color=BLUE, linewidth=1)
    _draw_intervals(axes, front, info.intervals[:, pair])
    if info.undrawn:
        axes.plot([], [], " ", label=f"{counted(info.undrawn, 'interval')} too wide to draw")
    for candidate, point in zip(info.ids, front, strict=True) if is_only else ():
        axes.annotate(str(candidate), point, xytext=(6, 6), textcoords="offset points", fontsize=9)
    axes.grid(alpha=0.3)


def _draw_intervals(axes: Axes, points: np.ndarray, intervals: np.ndarray) -> None:
    """Draw intervals (N, 2, 2) of points (N, 2).

    They may extend an axis to triple its range, or to any length if all points have one value.
    """
    across, up = np.abs(intervals - points[..., None]).transpose(1, 2, 0)
    if not np.isfinite([across, up]).any():
        return
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    spread = np.where(np.ptp(axes.dataLim.get_points(), axis=0) > 0, np.ptp(limits, axis=1), np.inf)
    style: dict[str, Any] = {"ecolor": BLUE, "elinewidth": 1, "alpha": 0.4}
    x, y = points.T
    axes.errorbar(x, y, up, across, fmt="none", label="95% interval", **style)
    wide = np.array([axes.get_xlim(), axes.get_ylim()])
    low = np.maximum(wide[:, 0], limits[:, 0] - spread)
    high = np.minimum(wide[:, 1], limits[:, 1] + spread)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
