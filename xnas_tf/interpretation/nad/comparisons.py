"""Counts what can be compared: pairs of paths, and misclassified images with paths."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any, NamedTuple


class Comparisons(NamedTuple):
    """Comparisons of two classes in a layer.

    Attributes:
        total: Number of comparisons: all pairs of classes in all layers.
        same: Number of comparisons in which a mask is full or empty, which count as the same path.
        diversity: Diversity of all other comparisons; None if there are none.
    """

    total: int
    same: int
    diversity: float | None

    @property
    def informative(self) -> float:
        """Share of comparisons in which neither mask is full or empty."""
        return 1 - self.same / self.total


def comparisons(known: Mapping[str, Any]) -> Comparisons | None:
    """Count comparisons in a result of ``disentanglement.facts``.

    The result is None for fewer than two classes, and if ``known`` is from an earlier version that
    does not say what each class keeps. The diversity is the mean of one minus the similarity over
    all comparisons, and those with full or empty masks add 0 to it.
    """
    layers = [
        (len(layer["kept"]), sum(0 < kept < layer["channels"] for kept in layer["kept"].values()))
        for layer in known.get("layers", [])
        if "kept" in layer
    ]
    total, others = (sum(comb(numbers[i], 2) for numbers in layers) for i in (0, 1))
    if not total:
        return None
    diversity = known["diversity"] * total / others if others else None
    return Comparisons(total, total - others, diversity)


def full_layers(known: Mapping[str, Any]) -> int:
    """Return the number of layers in which every class keeps all channels."""
    return sum(
        all(kept == layer["channels"] for kept in layer["kept"].values())
        for layer in known["layers"]
    )


def mistakes_count(known: Mapping[str, Any]) -> str:
    """Return the number of misclassified images, and how many were examined if it is known."""
    count, examined = known["mistakes"]["count"], known.get("images", {}).get("test")
    return f"{count:,} of {examined:,}" if examined else f"{count:,}"


def compared_mistakes(mistakes: Mapping[str, Any]) -> int:
    """Return the number of mistakes compared with paths: in earlier versions, all that count."""
    return int(mistakes.get("compared", mistakes["count"]))


def can_differ_from_chance(mistakes: Mapping[str, Any]) -> bool:
    """Return whether there are mistakes and more than three classes that could be confused."""
    return bool(compared_mistakes(mistakes)) and mistakes["by_chance"] < 1
