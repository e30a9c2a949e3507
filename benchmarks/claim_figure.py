"""Draws the effects of docs/claim.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.claim_statistics import FEWEST_CLUSTERS, OF_INTEREST, Effect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = {
    "activations": ("#0072b2", "o"),
    "attributions": ("#d55e00", "s"),
    "consistency": ("#009e73", "^"),
}
"""Colours and markers of the arms, which colour-blind readers can tell apart (Okabe & Ito 2008)."""


def draw(effects: Sequence[Effect], left_out: Mapping[str, Sequence[str]]) -> Figure:
    """Draw each effect with its corrected interval, and the region of no interest.

    Args:
        effects: Corrected effects of all arms.
        left_out: Data sets that are not used, by outcome.
    """
    from matplotlib.figure import Figure

    effects = [each for each in effects if each.clusters]
    outcomes = list(dict.fromkeys(each.outcome for each in effects))
    figure = Figure(figsize=(9, 0.85 * len(outcomes) + 1.8), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-OF_INTEREST, OF_INTEREST, color="0.93")
    axes.axvline(0, color="0.5", linewidth=1)
    for number, (arm, (colour, marker)) in enumerate(STYLES.items()):
        for each in (each for each in effects if each.arm == arm):
            y = outcomes.index(each.outcome) + 0.24 * (number - 1)
            is_decidable = each.clusters >= FEWEST_CLUSTERS
            low, high = each.corrected or each.interval()
            style = "-" if is_decidable else ":"
            axes.hlines(y, low, high, color=colour, linewidth=2, linestyle=style)
            fill = colour if is_decidable else "white"
            axes.plot([each.value], [y], marker, color=colour, markerfacecolor=fill)
            text = each.statement if is_decidable else "too few clusters"
            axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.plot([], [], f"{marker}-", color=colour, label=f"error + {arm}")
    labels = [label([e for e in effects if e.outcome == name], left_out[name]) for name in outcomes]
    axes.set_yticks(range(len(outcomes)), labels)
    axes.set_ylim(len(outcomes) - 0.5, -0.5)
    axes.set_xlabel(
        "← worse     difference from a search for error alone, adjusted for error     better →\n"
        "(standard deviations; intervals widened because 18 comparisons were planned;\n"
        "grey: differences too small to be of interest)"
    )
    axes.set_title("Networks from searches with a second objective")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def label(effects: Sequence[Effect], left_out: Sequence[str]) -> str:
    """Return an outcome's name with the number of clusters and the data sets left out."""
    clusters = sorted({each.clusters for each in effects})
    without = f", without {', '.join(left_out)}" if left_out else ""
    return f"{effects[0].outcome}\n({'–'.join(map(str, clusters))} clusters{without})"
