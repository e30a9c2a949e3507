"""Terminal tables for a disentangled network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from xnas_tf.interpretation.nad.comparisons import (
    can_differ_from_chance,
    compared_mistakes,
    comparisons,
    full_layers,
    mistakes_count,
)
from xnas_tf.interpretation.nad.metrics import NEAREST
from xnas_tf.interpretation.tables import number, share, table


def disentanglement_tables(known: dict[str, Any]) -> list[Table]:
    """Return tables for the network, its layers and its classes.

    Args:
        known: The result of ``disentanglement.facts``.
    """
    whole = table("the network", ["metric", "value"])
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

    At most half of the other classes are named, because a list of all of them does not distinguish
    any. The result is empty if there are fewer than three classes with paths of their own.
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
    listed = table(
        "layers; similarity: corrected for chance (random masks: 0; 1 for each pair in which a "
        "class keeps all channels or none), Jaccard index, and the index expected for random masks",
        ["layer", "channels", "kept", "similarity ↓", "Jaccard", "expected", hit_rate],
    )
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
    listed = table(
        "classes; accuracy and false alarms: network, soft masks, hard masks",
        [*columns, *(["most similar"] if similar else []), "most confused"],
    )
    for each in known["classes"]:
        listed.add_row(
            Text(each["class"]),
            f"{each['beta']:.3g}",
            share(each["kept"]),
            "  ".join(map(share, each["accuracy"].values())),
            "  ".join(map(share, each["false_alarms"].values())),
            *([Text(", ".join(similar[each["class"]]) or "none")] if similar else []),
            Text(", ".join(each["most_confused"]) or "none"),
        )
    return listed
