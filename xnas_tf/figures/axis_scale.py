"""Decides which axes are logarithmic, for figures and pages alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from xnas_tf.candidate import Candidate
from xnas_tf.objectives.base import Objective
from xnas_tf.utils.number_format import brief_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPAN = 100.0
"""An axis is logarithmic if its largest value is more than this many times its smallest."""
LOG_SCALE = " (log scale)"
"""Addition to the title of a logarithmic axis."""


def logarithmic(candidates: Sequence[Candidate], measures: Iterable[Objective]) -> frozenset[str]:
    """Return the names of the measures whose axes are logarithmic.

    These are sizes and times, such as the number of parameters: measures whose lowest possible
    value is 0 and which have no highest one, with positive values that differ by more than a
    factor of 100. Measures with an interval are left out, because its end may be negative.
    """
    done = [candidate for candidate in candidates if candidate.state == "done"]
    return frozenset(each.name for each in measures if _is_logarithmic(done, each))


def set_logarithmic(axes: Axes, which: str) -> None:
    """Make the ``x`` or ``y`` axis of a plot logarithmic, with plain numbers as labels."""
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415 - heavy

    axes.set(**{f"{which}scale": "log"})
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    # Matplotlib's own labels are formulas, which ``pictures.png`` would show as their source.
    axis.set_major_formatter(FuncFormatter(lambda value, _: brief_value(value)))
    axis.set_minor_formatter(NullFormatter())


def _is_logarithmic(done: Sequence[Candidate], measure: Objective) -> bool:
    if (measure.lowest, measure.highest) != (0.0, float("inf")):
        return False
    if any(f"{measure.name}/standard_error" in candidate.metrics for candidate in done):
        return False
    found = [c.objectives.get(measure.name, c.metrics.get(measure.name)) for c in done]
    values = [value for value in found if value is not None]
    return bool(values) and 0 < SPAN * min(values) < max(values)
