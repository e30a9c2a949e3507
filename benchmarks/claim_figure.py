"""Draws the effects of docs/claim.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.claim_statistics import FEWEST_CLUSTERS, OF_INTEREST, Effect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"activations": "#4c72b0", "attributions": "#dd8452", "consistency": "#55a868"}


def draw(effects: Sequence[Effect], left_out: Mapping[str, Sequence[str]]) -> Figure:
    """Draw each effect with its corrected interval, and the region of no interest.

    Args:
        effects: Corrected effects of all arms.
        left_out: Data sets that are not used, by outcome.
    """
    from matplotlib.figure import Figure

    outcomes = list(dict.fromkeys(each.outcome for each in effects))
    figure = Figure(figsize=(9, 0.85 * len(outcomes) + 1.8), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-OF_INTEREST, OF_INTEREST, color="0.93")
    axes.axvline(0, color="0.5", linewidth=1)
    for number, (arm, colour) in enumerate(COLOURS.items()):
        for each in (each for each in effects if each.arm == arm):
            y = outcomes.index(each.outcome) + 0.22 * (number - 1)
            is_decidable = each.clusters >= FEWEST_CLUSTERS
            low, high = each.corrected or each.interval()
            style = "-" if is_decidable else ":"
            axes.hlines(y, low, high, color=colour, linewidth=2, linestyle=style)
            fill = colour if is_decidable else "white"
            axes.plot([each.value], [y], "o", color=colour, markerfacecolor=fill)
        axes.plot([], [], "o-", color=colour, label=f"error + {arm}")
    labels = [label([e for e in effects if e.outcome == name], left_out[name]) for name in outcomes]
    axes.set_yticks(range(len(outcomes)), labels)
    axes.set_ylim(len(outcomes) - 0.5, -0.5)
    axes.set_xlabel(
        "← worse     difference from the control, a search for error (0), at equal error"
        "     better →\n"
        "(standard deviations of random networks; intervals corrected for 18 comparisons;\n"
        "grey: effects too small to be of interest; "
        f"dotted: fewer than {FEWEST_CLUSTERS} clusters, undecided)"
    )
    axes.set_title("Do searches for introspectability find networks that are easier to debug?")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def label(effects: Sequence[Effect], left_out: Sequence[str]) -> str:
    """Return an outcome's name with the number of clusters, networks, and data sets left out."""
    clusters = [each.clusters for each in effects]
    name = effects[0].outcome
    without = f"\nwithout {', '.join(left_out)}" if left_out else ""
    if not any(clusters):
        return f"{name}\nnot measured"
    counts = f"{min(clusters)}–{max(clusters)}" if min(clusters) < max(clusters) else clusters[0]
    networks = " / ".join(str(each.networks) for each in effects)
    return f"{name}\n{counts} clusters, {networks} networks{without}"
