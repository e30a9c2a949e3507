"""Metrics and findings about classes' paths, for readers who know the images."""

from __future__ import annotations

from typing import Any

from xnas_tf.interpretation.expert_page import Metric, Rows, listed, number, percent
from xnas_tf.interpretation.nad.tables import (
    can_differ_from_chance,
    comparisons,
    has_own_path,
    mistakes_count,
    most_similar,
)

MEANINGS = {
    "diversity of paths, not corrected": "The share of their channels in which two paths differ; "
    "depends on their sizes.",
    "diversity of paths ↑": "0: one path for all classes. 1: as different as random paths. Up to "
    "2.",
    "diversity where classes can be compared": "Without layers in which one of the two classes "
    "keeps all channels or none, which count as the same path in the diversity above.",
    "diversity, not corrected for chance": "As in the paper. Small paths differ more, even if they "
    "are random.",
    "channels that two paths share ↓": "As a share of the channels on either path. If one of two "
    "paths has all channels or none, both numbers depend only on the paths' sizes and are equal, "
    "whereas the diversity counts the two as the same path.",
    "false alarms ↓": "Share of images of other classes that a path alone mistakes for its own "
    "class.",
    "channels kept ↓": "Mean share of channels on a path.",
    "agreement of similarity and confusion": "1: the more similar the paths of two classes, the "
    "more the network confuses them. 0: no relation. −1: the opposite.",
    "misclassified images": "Of the test images examined.",
    "misclassified as one of the three most similar classes": "Similarity is that of their paths. "
    "If the share is far above chance, the network confuses classes with similar paths.",
}
"""The meaning of each metric, for readers."""


def path_metrics(known: dict[str, Any]) -> list[Metric]:
    """Return the metrics of a result of ``disentanglement.facts``, with their meanings."""
    values = {
        **_diversities(known),
        "channels kept ↓": percent(known["kept"]),
        "agreement of similarity and confusion": number(known["rank_correlation"]),
        "misclassified images": mistakes_count(known),
    }
    mistakes = known["mistakes"]
    if can_differ_from_chance(mistakes):
        name = "misclassified as one of the three most similar classes"
        similar, chance = mistakes["taken_for_a_similar_class"], mistakes["by_chance"]
        values[name] = f"{percent(similar)} (chance: {percent(chance)})"
    return [Metric(name, value, MEANINGS[name]) for name, value in values.items()]


def _diversities(known: dict[str, Any]) -> dict[str, str]:
    # Files from versions before the correction for chance contain only the uncorrected diversity.
    if "uncorrected_diversity" not in known:
        return {"diversity of paths, not corrected": number(known["diversity"])}
    values = {"diversity of paths ↑": number(known["diversity"])}
    found = comparisons(known)
    if found and found.same and found.diversity is not None:
        text = f"{number(found.diversity)} ({percent(found.informative)} of comparisons)"
        values["diversity where classes can be compared"] = text
    layers = known["layers"]
    expected, similarity = (
        number(sum(layer[key] for layer in layers) / len(layers))
        for key in ("expected_similarity", "uncorrected_similarity")
    )
    return {
        **values,
        "diversity, not corrected for chance": number(known["uncorrected_diversity"]),
        "channels that two paths share ↓": f"{similarity} (random paths: {expected})",
        "false alarms ↓": percent(known["false_alarms"]),
    }


def path_findings(known: dict[str, Any]) -> Rows:
    """Return one row per class: its path, how good it is, and the classes most like it."""
    similar = most_similar(known)
    headings = [
        "class",
        "channels kept",
        "accuracy of the whole network",
        "accuracy of the path alone",
        "false alarms of the path alone",
        *(["most similar paths"] if similar else []),
        "most often confused with",
    ]
    rows = []
    for each in known.get("classes", []):
        name, accuracy = each["class"], each["accuracy"]
        alike = listed(similar.get(name, [])) if has_own_path(each) else "no path of its own"
        rows.append(
            [
                name,
                percent(each["kept"]),
                percent(accuracy["network"]),
                percent(accuracy["hard"]),
                percent(each["false_alarms"]["hard"]),
                *([alike] if similar else []),
                listed(each["most_confused"]),
            ]
        )
    return headings, rows
