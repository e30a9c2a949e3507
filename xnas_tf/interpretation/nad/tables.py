"""Terminal tables for a disentangled network, and what can be compared in it."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.interpretation.expert_page import number, share
from xnas_tf.interpretation.nad.metrics import NEAREST


def disentanglement_tables(known: dict[str, Any]) -> list[Table]:
    """Return tables for the network, layers and classes in the result of ``facts``."""
    whole = Table("metric", "value", box=box.SIMPLE_HEAD, title="the network")
    for name, value in (
        ("diversity of paths, corrected for chance ↑", number(known["diversity"])),
        *_compared_rows(known),
        ("diversity as in the paper, not corrected", number(known["uncorrected_diversity"])),
        ("false alarms of the paths ↓", share(known["false_alarms"])),
        ("channels kept", share(known["kept"])),
        ("rank correlation of similarity and confusion", number(known["rank_correlation"])),
        *_mistake_rows(known),
        ("empty masks", str(len(known["empty"]))),
    ):
        whole.add_row(name, value)
    return [whole, _layer_table(known), _class_table(known)]


def most_similar(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the classes with the most similar paths by class, the most similar first.

    At most half of the other classes are named, because naming all would distinguish none. The
    result is empty if there are fewer than three classes with paths of their own.
    """
    classes = known.get("classes", [])
    count = min(NEAREST, (sum(map(has_own_path, classes)) - 1) // 2)
    return {each["class"]: each["most_similar"][:count] for each in classes if count > 0}


def has_own_path(each: Mapping[str, Any]) -> bool:
    """Return whether a class has a path of its own; earlier versions only know full paths."""
    return bool(each.get("own_path", not each.get("keeps_all")))


def _compared_rows(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the diversity without full and empty masks, if there are any."""
    found = comparisons(known)
    if found is None or not found.same:
        return []
    without = "" if found.diversity is None else f"{number(found.diversity)} "
    text = f"{without}({share(found.informative)} of the comparisons)"
    full = f"{full_layers(known)} of {len(known['layers'])}"
    return [
        ("the same, except where a class keeps all channels or none", text),
        ("layers in which every class keeps all channels (count as the same path)", full),
    ]


def _mistake_rows(known: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the number of mistakes and, if informative, how many confuse similar classes."""
    mistakes = known["mistakes"]
    rows = [("misclassified images", mistakes_count(known))]
    if compared_mistakes(mistakes) < mistakes["count"]:
        rows.append(("of these, between classes with paths", str(compared_mistakes(mistakes))))
    if can_differ_from_chance(mistakes):
        similar, chance = share(mistakes["taken_for_a_similar_class"]), share(mistakes["by_chance"])
        name = "misclassified as one of the three most similar classes"
        rows.append((name, f"{similar} (chance {chance})"))
    return rows


def _layer_table(known: dict[str, Any]) -> Table:
    hit_rate = f"hit rate ↑ (chance {number(known['chance'])})"
    title = (
        "layers; similarity: corrected for chance (random masks: 0; 1 for each pair in which a "
        "class keeps all channels or none), Jaccard index, and the index expected for random masks"
    )
    headings = ["layer", "channels", "kept", "similarity ↓", "Jaccard", "expected", hit_rate]
    listed = Table(*headings, box=box.SIMPLE_HEAD, title=title)
    for layer in known["layers"]:
        hits = layer["hit_rate"]
        listed.add_row(
            Text(layer["layer"]),
            str(layer["channels"]),
            number(float(np.mean(list(layer["kept"].values())))),
            number(layer["similarity"]),
            number(layer["uncorrected_similarity"]),
            number(layer["expected_similarity"]),
            f"{number(hits['mean'])} ± {number(hits['deviation'])}",
        )
    return listed


def _class_table(known: dict[str, Any]) -> Table:
    similar = most_similar(known)
    columns = ["class", "β", "kept", "accuracy ↑", "false alarms ↓"]
    headings = [*columns, *(["most similar"] if similar else []), "most confused"]
    title = "classes; accuracy and false alarms: network, soft masks, hard masks"
    listed = Table(*headings, box=box.SIMPLE_HEAD, title=title)
    for each in known["classes"]:
        name = each["class"]
        listed.add_row(
            Text(name),
            f"{each['beta']:.3g}",
            share(each["kept"]),
            "  ".join(map(share, each["accuracy"].values())),
            "  ".join(map(share, each["false_alarms"].values())),
            *([Text(", ".join(similar[name]) or "none")] if similar else []),
            Text(", ".join(each["most_confused"]) or "none"),
        )
    return listed


class Comparisons(NamedTuple):
    """Comparisons of two classes in a layer, for all pairs and layers."""

    total: int
    same: int  # how many have a full or empty mask, and so count as the same path
    diversity: float | None  # that of all other comparisons; None if there are none

    @property
    def informative(self) -> float:
        """Share of comparisons in which neither mask is full or empty."""
        return 1 - self.same / self.total


def comparisons(known: Mapping[str, Any]) -> Comparisons | None:
    """Count comparisons in a result of ``disentanglement.facts``.

    The result is None for fewer than two classes, and if ``known`` is from an earlier version that
    does not say what each class keeps. The diversity in ``known`` is the mean of one minus the
    similarity over all comparisons, and those with full or empty masks add 0 to it.
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
