"""Draws the effects of docs/claim.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.claim_statistics import OF_INTEREST, Effect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"activations": "#4c72b0", "attributions": "#dd8452", "consistency": "#55a868"}


def draw(effects: Sequence[Effect]) -> Figure:
    """Draw each effect with its corrected interval, and the region of no interest."""
    from matplotlib.figure import Figure

    outcomes = list(dict.fromkeys(each.outcome for each in effects))
    figure = Figure(figsize=(8, 0.75 * len(outcomes) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-OF_INTEREST, OF_INTEREST, color="0.93")
    axes.axvline(0, color="0.5", linewidth=1)
    for number, (arm, colour) in enumerate(COLOURS.items()):
        own = [each for each in effects if each.arm == arm]
        y = [outcomes.index(each.outcome) + 0.22 * (number - 1) for each in own]
        ends = [each.corrected or (each.low, each.high) for each in own]
        axes.hlines(y, *zip(*ends, strict=True), color=colour, linewidth=2)
        axes.plot([each.value for each in own], y, "o", color=colour, label=f"error + {arm}")
    axes.set_yticks(range(len(outcomes)), outcomes)
    axes.invert_yaxis()
    axes.set_xlabel(
        "← worse     difference from a search for error, at equal error     better →\n"
        "(standard deviations of random networks; corrected 95% intervals;\n"
        "grey: effects that are too small to be of interest)"
    )
    axes.set_title("Do searches for introspectability find networks that are easier to debug?")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
