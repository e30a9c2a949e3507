"""Figure showing how a run's objectives improved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.figures.axis_scale import LOG_SCALE, logarithmic, set_logarithmic
from xnas_tf.figures.progress import progress_data
from xnas_tf.interpretation.drawing import BLUE, GREY, ORANGE, new_figure, wrapped
from xnas_tf.strategy.pareto import ended_candidates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = 1.3
"""Height of a panel in inches, which leaves room for the title of its axis."""


@dataclass(frozen=True)
class HistoryInfo:
    """The data shown in a figure of a run's history.

    Attributes:
        titles: Titles of the K objectives, each with an arrow that points towards better values.
        places: Positions of N candidates in the order in which they finished, starting at 1, (N,).
        values: The candidates' objective values, (N, K).
        trainings: Number of candidates trained at each change of the front, (M,).
        best: The best objective values on the front after each change, (K, M).
        hypervolume: The hypervolume after each change of the front, (M,); NaN where unknown.
        is_logarithmic: Whether each objective's axis is logarithmic, (K,).
    """

    titles: tuple[str, ...]
    places: np.ndarray
    values: np.ndarray
    trainings: np.ndarray
    best: np.ndarray
    hypervolume: np.ndarray
    is_logarithmic: tuple[bool, ...] = ()


def history_info(candidates: Sequence[Candidate], config: Config) -> HistoryInfo:
    """Collect the values of the finished candidates, and of the Pareto front as it grew."""
    ended = ended_candidates(candidates)
    trained = np.cumsum([c.trained for c in ended], dtype=int)
    done = [(at, c) for at, c in zip(trained, ended, strict=True) if c.state == "done"]
    names = [objective.name for objective in config.objectives]
    log = logarithmic(candidates, config.objectives)
    progress: dict[str, Any] = progress_data(candidates, config)
    return HistoryInfo(
        tuple(o.heading + LOG_SCALE * (o.name in log) for o in config.objectives),
        np.array([at for at, _ in done]),
        np.array([[c.objectives[n] for n in names] for _, c in done]).reshape(-1, len(names)),
        np.array(progress["trainings"]),
        np.array(progress["best"], float).reshape(len(names), -1),
        np.array(progress["hypervolume"], float),
        tuple(name in log for name in names),
    )


def history_figure(info: HistoryInfo) -> Figure:
    """Draw one panel per objective, with its best value on the front, and one for hypervolume.

    The hypervolume is left out while it is unknown, and with a single objective, where it would add
    nothing.
    """
    has_hypervolume = len(info.titles) > 1 and bool(np.isfinite(info.hypervolume).any())
    count = len(info.titles) + has_hypervolume
    figure = new_figure(6, 1.2 + 1.5 * count)
    axes = figure.subplots(count, sharex=True, squeeze=False)[:, 0]
    for axis, title, values, best in zip(axes, info.titles, info.values.T, info.best, strict=False):
        axis.plot(info.places, values, ".", color=GREY, label="a candidate")
        axis.step(info.trainings, best, where="post", color=BLUE, label="best on the front")
        axis.set_ylabel(wrapped(title, PANEL), fontsize=8)
    for axis, is_logarithmic in zip(axes, info.is_logarithmic, strict=False):
        if is_logarithmic:
            set_logarithmic(axis, "y")
    if has_hypervolume:
        axes[-1].step(info.trainings, info.hypervolume, where="post", color=ORANGE)
        axes[-1].set_ylabel("hypervolume ↑", fontsize=8)
    axes[-1].set_xlabel("trainings")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.align_ylabels(axes)
    return figure
