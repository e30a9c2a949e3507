"""Figures of a run: first what is shown, as plain numbers, then the drawing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.run.directory import Run


@dataclass(frozen=True)
class FrontInfo:
    """What a picture of a front shows.

    Attributes:
        names: The two objectives drawn.
        front: Their values (N, 2) for Pareto-optimal candidates, sorted by the first.
        ids: Ids of those.
        dominated: Values (M, 2) of the other done candidates.
    """

    names: tuple[str, str]
    front: np.ndarray
    ids: tuple[int, ...]
    dominated: np.ndarray


def front_info(
    candidates: Sequence[Candidate], front: Sequence[Candidate], config: Config
) -> FrontInfo:
    """Gathers the first two objectives; with only one, ids stand for the second."""
    names = [objective.name for objective in config.objectives[:2]]

    def values(chosen: Sequence[Candidate]) -> np.ndarray:
        rows = [[*(c.objectives[name] for name in names), c.id][:2] for c in chosen]
        return np.array(rows, dtype=float).reshape(-1, 2)

    ordered = sorted(front, key=lambda c: c.objectives[names[0]])
    ids = tuple(c.id for c in ordered)
    rest = [c for c in candidates if c.state == "done" and c.id not in ids]
    return FrontInfo(tuple([*names, "candidate"][:2]), values(ordered), ids, values(rest))


def front_figure(info: FrontInfo):
    """Draws a front: dominated candidates in grey, Pareto-optimal ones joined and numbered.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.scatter(*info.dominated.T, color="#b0b0b0", label="dominated", zorder=1)
    axis.plot(*info.front.T, "o-", color="#1f4e9c", label="Pareto-optimal", zorder=2)
    for number, point in zip(info.ids, info.front, strict=True):
        axis.annotate(str(number), point, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axis.set(xlabel=info.names[0], ylabel=info.names[1])
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def png(figure, dpi: int = 90) -> bytes:
    """A matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def save_front(run: Run, path: Path) -> None:
    """Draws a run's front into a PNG file.

    Raises:
        InputError: If nothing is finished yet, or the file cannot be written.
    """
    front = run.pareto()
    if not front:
        raise InputError(f"{run.path} has no Pareto-optimal candidates to draw yet")
    picture = png(front_figure(front_info(run.candidates(), front, run.config)), dpi=150)
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise InputError(f"--plot {path} cannot be written: {error}") from error
