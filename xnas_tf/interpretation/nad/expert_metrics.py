"""Metrics and findings about classes' paths, for readers who know the images."""

from __future__ import annotations

from typing import Any

from xnas_tf.interpretation.expert_page import Metric, Rows, listed, percent
from xnas_tf.interpretation.nad.comparisons import (
    can_differ_from_chance,
    comparisons,
    mistakes_count,
)
from xnas_tf.interpretation.nad.tables import has_own_path, most_similar
from xnas_tf.interpretation.tables import number


def path_metrics(known: dict[str, Any]) -> list[Metric]:
    """Return the metrics of a result of ``disentanglement.facts``, with their meanings."""
    return [
        *_diversity_metrics(known),
        Metric("channels kept ↓", percent(known["kept"]), "Mean share of channels on a path."),
        Metric(
            "agreement of similarity and confusion",
            number(known["rank_correlation"]),
            "1: the more similar the paths of two classes, the more the network confuses them. "
            "0: no relation. −1: the opposite.",
        ),
        Metric("misclassified images", mistakes_count(known), "Of the test images examined."),
        *_similar_metrics(known["mistakes"]),
    ]


def _diversity_metrics(known: dict[str, Any]) -> list[Metric]:
    # Files from versions before the correction for chance contain only the uncorrected diversity.
    if "uncorrected_diversity" not in known:
        meaning = "The share of their channels in which two paths differ; depends on their sizes."
        return [Metric("diversity of paths, not corrected", number(known["diversity"]), meaning)]
    layers = known["layers"]
    expected, similarity = (
        sum(layer[key] for layer in layers) / len(layers)
        for key in ("expected_similarity", "uncorrected_similarity")
    )
    return [
        Metric(
            "diversity of paths ↑",
            number(known["diversity"]),
            "0: one path for all classes. 1: as different as random paths. Up to 2.",
        ),
        *_compared_metrics(known),
        Metric(
            "diversity, not corrected for chance",
            number(known["uncorrected_diversity"]),
            "As in the paper. Small paths differ more, even if they are random.",
        ),
        Metric(
            "channels that two paths share ↓",
            f"{number(similarity)} (random paths: {number(expected)})",
            "As a share of the channels on either path. If one of two paths has all channels or "
            "none, both numbers depend only on the paths' sizes and are equal, whereas the "
            "diversity counts the two as the same path.",
        ),
        Metric(
            "false alarms ↓",
            percent(known["false_alarms"]),
            "Share of images of other classes that a path alone mistakes for its own class.",
        ),
    ]


def _compared_metrics(known: dict[str, Any]) -> list[Metric]:
    found = comparisons(known)
    if found is None or not found.same or found.diversity is None:
        return []
    return [
        Metric(
            "diversity where classes can be compared",
            f"{number(found.diversity)} ({percent(found.informative)} of comparisons)",
            "Without layers in which one of the two classes keeps all channels or none, which "
            "count as the same path in the diversity above.",
        )
    ]


def _similar_metrics(mistakes: dict[str, Any]) -> list[Metric]:
    if not can_differ_from_chance(mistakes):
        return []
    return [
        Metric(
            "misclassified as one of the three most similar classes",
            f"{percent(mistakes['taken_for_a_similar_class'])} "
            f"(chance: {percent(mistakes['by_chance'])})",
            "Similarity is that of their paths. If the share is far above chance, the network "
            "confuses classes with similar paths.",
        )
    ]


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
    rows = [
        [
            each["class"],
            percent(each["kept"]),
            percent(each["accuracy"]["network"]),
            percent(each["accuracy"]["hard"]),
            percent(each["false_alarms"]["hard"]),
            *([_similar_text(each, similar)] if similar else []),
            listed(each["most_confused"]),
        ]
        for each in known.get("classes", [])
    ]
    return headings, rows


def _similar_text(each: dict[str, Any], similar: dict[str, list[str]]) -> str:
    return listed(similar[each["class"]]) if has_own_path(each) else "no path of its own"
