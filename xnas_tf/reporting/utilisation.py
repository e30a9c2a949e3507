"""Shows how the groups of ranks spend their time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError
from xnas_tf.storage.run import Run
from xnas_tf.utils.pictures import save_png

if TYPE_CHECKING:
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

COLOURS = {"done": "#1f4e9c", "failed": "#c0392b", "infeasible": "#b0b0b0", "duplicate": "#7fb3a8"}
WAIT = "#f0c04a"


class Bar(NamedTuple):
    """The period that a group spends on one candidate, in hours since the first candidate started.

    Attributes:
        begin: Time when the candidate was assigned to the group.
        length: Duration of its evaluation.
        wait: Time that the group waited for the candidate.
    """

    candidate: int
    group: int
    state: str
    begin: float
    length: float
    wait: float


def utilisation(candidates: Sequence[Candidate]) -> dict[int, float]:
    """Return the share of time that each group spent evaluating rather than waiting."""
    busy: dict[int, float] = defaultdict(float)
    waited: dict[int, float] = defaultdict(float)
    for c in sorted(candidates, key=lambda c: c.group):
        if c.finish_order and c.seconds_total:
            busy[c.group] += c.seconds_total
            waited[c.group] += c.seconds.get("wait", 0.0)
    return {group: busy[group] / (busy[group] + waited[group]) for group in busy}


def timeline(candidates: Sequence[Candidate]) -> list[Bar]:
    """Return one bar for each candidate whose evaluation has ended."""
    ended = [c for c in candidates if c.finish_order and c.started and c.finished]
    if not ended:
        return []
    times = [(datetime.fromisoformat(c.started), datetime.fromisoformat(c.finished)) for c in ended]
    waits = [c.seconds.get("wait", 0.0) / 3600 for c in ended]
    (first, _), hour = min(times), timedelta(hours=1)
    return [
        Bar(c.id, c.group, c.state, (start - first) / hour, (end - start) / hour, wait)
        for c, (start, end), wait in zip(ended, times, waits, strict=True)
    ]


def timeline_figure(bars: Sequence[Bar]) -> Figure:
    """Draw the candidates of each group over time, with the waits between them."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy
    from matplotlib.patches import Patch  # noqa: PLC0415 - heavy

    groups = sorted({bar.group for bar in bars})
    end = max((bar.begin + bar.length for bar in bars), default=0.0)
    scale, unit = (1, "hours") if end > 2 else (60, "minutes")
    figure = Figure(figsize=(9, min(20, 1.6 + 0.35 * len(groups))), layout="constrained")
    axes = figure.subplots()
    # One collection per state, because a patch per bar would take a minute for a long search.
    for state, colour in COLOURS.items():
        spans = [(b.group, scale * b.begin, scale * b.length) for b in bars if b.state == state]
        axes.add_collection(_boxes(spans, 0.8, facecolor=colour, edgecolor="white", linewidth=0.5))
    waits = [(b.group, scale * (b.begin - b.wait), scale * b.wait) for b in bars]
    axes.add_collection(_boxes(waits, 0.4, facecolor=WAIT))
    axes.autoscale_view()
    axes.set(xlabel=f"{unit} since the first candidate", ylabel="group", yticks=groups)
    axes.invert_yaxis()
    colours = {**COLOURS, "waiting": WAIT}
    patches = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=patches, loc="outside upper center", ncols=len(patches))
    return figure


def _boxes(
    spans: Sequence[tuple[int, float, float]], height: float, **style: Any
) -> PolyCollection:
    """Return a box for each tuple of (group, begin, length)."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415 - heavy

    low, high = -height / 2, height / 2
    corners = [
        [(b, g + low), (b + length, g + low), (b + length, g + high), (b, g + high)]
        for g, b, length in spans
    ]
    return PolyCollection(corners, **style)


def save_timeline(run: Run, path: Path) -> None:
    """Draw the timeline of a run's groups and save it as a PNG file.

    Raises:
        InputError: If no evaluation has ended yet, or the file cannot be written.
    """
    bars = timeline(run.candidates())
    if not bars:
        raise InputError(f"{run.path}: no evaluation has ended yet, so there is nothing to draw")
    save_png(timeline_figure(bars), path, "--plot", dpi=120)
