"""Figure of the hyperparameters that affect a run's objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.config import Config
from xnas_tf.interpretation.drawing import BLUE, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 12
"""Maximum number of hyperparameters to draw for an objective; the most important ones are drawn."""


def importance_figure(influence: dict[str, Any], config: Config) -> Figure:
    """Draw each hyperparameter's importance for each objective, with 90% intervals.

    Args:
        influence: The result of ``importance_data``, which must contain estimates.
        config: The run's configuration.
    """
    objectives = influence["objectives"]
    rows = [min(SHOWN, len(each["hyperparameters"])) for each in objectives]
    figure = new_figure(6, 1.0 + sum(0.65 + 0.25 * row for row in rows))
    axes = figure.subplots(len(objectives), sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for axis, objective, found in zip(axes, config.objectives, objectives, strict=True):
        _draw(axis, found, objective.heading)
    label = "share of the variance that is due to the hyperparameter, with 90% interval"
    axes[-1].set_xlabel(label, fontsize=8)
    return figure


def _draw(axis: Axes, found: dict[str, Any], heading: str) -> None:
    """Draw an objective's hyperparameters, most important first.

    The bars are grey if the objective cannot be predicted reliably from the hyperparameters.
    """
    low, predicted, high = found["foreseen"]
    ordered = sorted(found["hyperparameters"], key=lambda each: each["importance"][1])[-SHOWN:]
    lows, means, highs = np.transpose([each["importance"] for each in ordered])
    places = np.arange(len(ordered))
    colour = BLUE if low > 0 else GREY
    errors = [means - lows, highs - means]
    axis.barh(places, means, xerr=errors, color=colour, ecolor="#404040", capsize=2, height=0.6)
    axis.set_yticks(places, [each["name"] for each in ordered], fontsize=8)
    axis.set_ylim(-0.6, len(ordered) - 0.4)
    note = f"{predicted:.0%} predicted ({low:.0%} to {high:.0%})"
    reliable = note if low > 0 else "not reliably predicted: do not trust this"
    axis.set_title(f"{heading}: {reliable}", fontsize=9, loc="left")
    axis.grid(alpha=0.3, axis="x")
    axis.set_axisbelow(True)
