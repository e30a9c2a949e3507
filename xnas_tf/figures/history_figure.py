"""Figure showing how a run's objectives improved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
        axes[-1].step(progress["trainings"], hypervolume, where="post", color=ORANGE)
        axes[-1].set_ylabel("hypervolume ↑", fontsize=8)
    axes[-1].set_xlabel("trainings")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.align_ylabels(axes)
    return figure
