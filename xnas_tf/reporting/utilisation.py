"""Where the groups' time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError
from xnas_tf.storage.run import Run
from xnas_tf.utils.pictures import png

COLOURS = {"done": "#1f4e9c", "failed": "#c0392b", "infeasible": "#b0b0b0", "duplicate": "#7fb3a8"}
WAIT = "#f0c04a"


@dataclass(frozen=True)
class Bar:
    """One candidate's time on its group, in hours since the first candidate began.

    Attributes:
        group: The group.
        wait: How long the group had waited for it.
        begin: When it was handed out.
        length: How long it took.
        state: How it ended.
        number: The candidate's id.
    """

    group: int
    wait: float
    begin: float
    length: float
    state: str
    number: int


def utilisation(candidates: Sequence[Candidate]) -> dict[int, float]:
    """By group, the share of its time in which it was evaluating rather than waiting."""
    busy: dict[int, float] = {}
    waited: dict[int, float] = {}
    for c in sorted(candidates, key=lambda c: c.group):
        if c.answer and c.seconds_total:
            busy[c.group] = busy.get(c.group, 0.0) + c.seconds_total
            waited[c.group] = waited.get(c.group, 0.0) + c.seconds.get("wait", 0.0)
    return {group: busy[group] / (busy[group] + waited[group]) for group in busy}


def timeline(candidates: Sequence[Candidate]) -> list[Bar]:
    """What a picture of the groups' time shows."""
    ended = [c for c in candidates if c.answer and c.started and c.finished]
    first = min((datetime.fromisoformat(c.started) for c in ended), default=None)
    return [
        Bar(
            c.group,
            c.seconds.get("wait", 0.0) / 3600,
            (datetime.fromisoformat(c.started) - first).total_seconds() / 3600,
            (datetime.fromisoformat(c.finished) - datetime.fromisoformat(c.started)).total_seconds()
            / 3600,
            c.state,
            c.id,
        )
        for c in ended
    ]


def timeline_figure(bars: Sequence[Bar]):
    """Draws each group's candidates one after the other, and its waits between them.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    groups = sorted({bar.group for bar in bars})
    end = max((bar.begin + bar.length for bar in bars), default=0.0)
    scale, unit = (1, "hours") if end > 2 else (60, "minutes")
    figure = Figure(figsize=(9, min(20, 1.6 + 0.35 * len(groups))), layout="constrained")
    axis = figure.subplots()
    # All bars of a kind as one shape: a patch each would take a minute for a long search.
    for state, colour in COLOURS.items():
        mine = [bar for bar in bars if bar.state == state]
        spans = [(bar.group, scale * bar.begin, scale * bar.length) for bar in mine]
        axis.add_collection(_boxes(spans, 0.8, facecolor=colour, edgecolor="white", linewidth=0.5))
    waits = [(b.group, scale * (b.begin - b.wait), scale * b.wait) for b in bars]
    axis.add_collection(_boxes(waits, 0.4, facecolor=WAIT))
    axis.autoscale_view()
    axis.set(xlabel=f"{unit} since the first candidate", ylabel="group", yticks=groups)
    axis.invert_yaxis()
    shades = {**COLOURS, "waiting": WAIT}
    patches = [Patch(color=colour, label=name) for name, colour in shades.items()]
    figure.legend(handles=patches, loc="outside upper center", ncols=len(patches))
    return figure


def _boxes(spans: Sequence[tuple[int, float, float]], height: float, **style: Any) -> Any:
    """Boxes for (group, begin, length)."""
    from matplotlib.collections import PolyCollection

    low, high = -height / 2, height / 2
    corners = [
        [(b, g + low), (b + length, g + low), (b + length, g + high), (b, g + high)]
        for g, b, length in spans
    ]
    return PolyCollection(corners, **style)


def save_timeline(run: Run, path: Path) -> None:
    """Draws a run's groups into a PNG file.

    Raises:
        InputError: If nothing has ended yet, or the file cannot be written.
    """
    bars = timeline(run.candidates())
    if not bars:
        raise InputError(f"{run.path} has no candidate yet whose evaluation has ended")
    try:
        path.write_bytes(png(timeline_figure(bars), dpi=120))
    except OSError as error:
        raise InputError(f"--plot {path} cannot be written: {error}") from error
