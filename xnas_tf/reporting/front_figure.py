"""Figures of a run: first what is shown, as plain numbers, then the drawing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.storage.run import Run
from xnas_tf.utils.pictures import png


@dataclass(frozen=True)
class FrontInfo:
    """What a picture of a front shows.

    Attributes:
        names: The objectives drawn, K of them.
        front: Their values (N, K) for Pareto-optimal candidates, sorted by the first.
        ids: Ids of those.
        dominated: Values (M, K) of the other done candidates, of the front's fidelity.
        recommended: Place in ``front`` of the one that is recommended; None if none is.
    """

    names: tuple[str, ...]
    front: np.ndarray
    ids: tuple[int, ...]
    dominated: np.ndarray
    recommended: int | None


def front_info(
    candidates: Sequence[Candidate],
    front: Sequence[Candidate],
    config: Config,
    recommended: int | None,
) -> FrontInfo:
    """Gathers all objectives; with only one, ids stand for the second.

    Args:
        candidates: All candidates.
        front: The Pareto-optimal ones.
        config: The run's configuration.
        recommended: Id of the one on the front that is recommended; None if none is.
    """
    names = [objective.name for objective in config.objectives]
    width = max(2, len(names))

    def values(chosen: Sequence[Candidate]) -> np.ndarray:
        rows = [[*(c.objectives[name] for name in names), c.id][:width] for c in chosen]
        return np.array(rows, dtype=float).reshape(-1, width)

    ordered = sorted(front, key=lambda c: c.objectives[names[0]])
    ids = tuple(c.id for c in ordered)
    done = [c for c in candidates if c.state == "done" and c.id not in ids]
    rest = [c for c in done if not ordered or c.epochs == ordered[0].epochs]
    place = ids.index(recommended) if recommended in ids else None  # a run may go on meanwhile
    shown = tuple([*names, "candidate"][:width])
    return FrontInfo(shown, values(ordered), ids, values(rest), place)


def front_figure(info: FrontInfo):
    """Draws a front: other candidates in grey, Pareto-optimal ones in blue, the one that is
    recommended with a ring. Of more than two objectives each pair has a picture of its own.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure

    pictures = len(info.names) - 1
    size = (6, 4.2) if pictures == 1 else (2.6 * pictures, 2.2 * pictures)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(pictures, pictures, sharex="col", sharey="row", squeeze=False)
    for row, column in itertools.product(range(pictures), repeat=2):
        if column > row:
            axes[row, column].set_axis_off()
        else:
            _draw_pair(axes[row, column], info, (column, row + 1))
    for place in range(pictures):
        axes[-1, place].set_xlabel(info.names[place])
        axes[place, 0].set_ylabel(info.names[place + 1])
    if pictures == 1:
        axes[0, 0].legend()
    else:
        figure.legend(*axes[-1, 0].get_legend_handles_labels(), loc="upper right")
    return figure


def _draw_pair(axis, info: FrontInfo, pair: tuple[int, int]) -> None:
    """Draws two objectives; where these are all, the front is a line with numbers."""
    front = info.front[:, pair]
    is_whole = len(info.names) == 2
    axis.scatter(
        *info.dominated[:, pair].T, s=36 if is_whole else 9, color="#b0b0b0", label="others"
    )
    line, size = ("o-", 6) if is_whole else ("o", 3.5)
    axis.plot(*front.T, line, markersize=size, color="#1f4e9c", label="Pareto-optimal")
    if (place := info.recommended) is not None:
        ring = {"markersize": 2 * size, "fillstyle": "none", "color": "#c8511b"}
        axis.plot(*front[place], "o", label=f"recommended: {info.ids[place]}", **ring)
    for number, point in zip(info.ids, front, strict=True) if is_whole else ():
        axis.annotate(str(number), point, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axis.grid(alpha=0.3)


def save_front(run: Run, path: Path, recommended: int | None) -> None:
    """Draws a run's front into a PNG file.

    Args:
        run: The run.
        path: The file.
        recommended: Id of the candidate that gets a ring, if one does.

    Raises:
        InputError: If nothing is finished yet, or the file cannot be written.
    """
    front = run.pareto()
    if not front:
        raise InputError(f"{run.path} has no Pareto-optimal candidates to draw yet")
    shown = front_info(run.candidates(), front, run.config, recommended)
    picture = png(front_figure(shown), dpi=150)
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise InputError(f"--plot {path} cannot be written: {error}") from error
