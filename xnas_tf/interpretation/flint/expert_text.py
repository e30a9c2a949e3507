"""Texts that explain an interpreter's attributes to readers who know the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xnas_tf.interpretation.accuracy_text import (
    MOST_NAMED,
    accuracy_paragraph,
    assumed_range_text,
    means_little,
    range_warning,
    range_words,
)
from xnas_tf.interpretation.expert_page import Caption, ExpertPage, Metric, listed, number, percent
from xnas_tf.interpretation.flint.predictions import TAU
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.number_format import percent_range, percent_text

LOW_FIDELITY = 0.8
"""Below this fidelity, an interpreter does not explain its network. The interpreters in
docs/explanation/flint.md agree with their networks on 96% of the images, or on only 20% if all
attributes became 0."""
CAPTIONS = {
    "attributes": Caption(
        "What each attribute seems to be",
        "For a class and an attribute that matters for it, these are the test images that activate "
        "the attribute most, each followed by the same image changed to activate it more. What the "
        "images have in common, and what the change adds, suggest what the attribute detects. "
        "Attributes have numbers, not names: naming them is up to you.",
    ),
    "relevance": Caption(
        "Which attributes matter for which class",
        "Each row is a class, and each column an attribute. Purple: the attribute counts for the "
        "class. Orange: it counts against the class. White: it does not matter. A row with one or "
        "two strong colours is easy to explain. Blank rows are classes that the interpreter never "
        "predicts.",
    ),
    "explanations": Caption(
        "How the interpreter explains individual images",
        "For each image: the predicted and the true class; how much each attribute counts for the "
        "prediction (above the dashed line, it matters); and the image, changed to activate the "
        "most important attributes more.",
    ),
    "disagreements": Caption(
        "Where the interpreter is wrong about the network",
        "Images for which the network and the interpreter predict different classes. The "
        "attributes do not explain the network's prediction here.",
    ),
    "conciseness": Caption(
        "How many attributes an explanation needs",
        "Left: how many attributes matter for an image on average. Further to the right, weaker "
        "attributes count too. Right: the share of images for which each attribute matters. Grey "
        "attributes never matter.",
    ),
}
MEANINGS = {
    "accuracy of the model ↑": "Share of test images that the network classifies correctly.",
    "accuracy of its interpreter ↑": "Share of test images that the weighted sum of attributes "
    "classifies correctly.",
    "fidelity ↑": "Share of test images for which both predict the same class.",
    "attributes per prediction ↓": "Mean number of attributes that matter for an image: their "
    f"relevance, which is 1 at most, is above {1 / TAU:g}.",
    "attributes that never matter ↓": "They could be left out.",
}
"""The meaning of each metric, for readers."""
LIMITS = (
    "The interpreter imitates the network. Where both predict the same class, they may do so for "
    "different reasons.",
    "An attribute is whatever the training found useful. It may not match any concept that people "
    "have a word for, and another training may find different attributes.",
    "The changed images show what activates an attribute in the network. They are not photographs "
    "and may not look natural.",
    "A plausible attribute does not prove that a prediction is right, nor that the network will "
    "handle other images well.",
)


def interpretation_page(known: dict[str, Any]) -> ExpertPage:
    """Return the page for a result of ``Interpretation.as_dict``."""
    return ExpertPage(
        "Explaining a network's predictions with attributes",
        _summary(known),
        _metrics(known),
        _findings(known),
        CAPTIONS,
        LIMITS,
        problem=range_warning(known.get("accuracy") or {}),
    )


def _summary(known: dict[str, Any]) -> list[str]:
    how = {
        "posthoc": "The network itself was not changed.",
        "by-design": "The network was trained together with its interpreter, so it changed too.",
    }
    test = known["test"]
    needed, unused = test["conciseness"][f"{TAU:g}"], test["unused_attributes"]
    total = len(test["attribute_use"])
    about = (
        f"An interpreter was trained for a network. It has {total} attributes. These are "
        "detectors, learned from the hidden layers, each of which is active on some images and 0 "
        "on others. A simple weighted sum of the attributes imitates the network's predictions. "
        "Its weights show which attributes count for which class (FLINT, arXiv 2010.09345). "
        f"{how.get(known.get('mode', ''), '')}"
    )
    accuracy = known.get("accuracy")
    begin = [
        accuracy_paragraph(accuracy, known.get("accuracy_by_class", [])),
        assumed_range_text(accuracy or {}),
        known.get("shown_channels", ""),
        about,
    ]
    file = interpreted_range_text(known, "`interpreted.keras`")
    if means_little(accuracy):  # nothing can be concluded from the attributes
        return [*begin, file]
    return [
        *begin,
        _fidelity_text(test["fidelity"]["top1"], known.get("images", {}).get("test")),
        never_predicted_text(known.get("never_predicted", [])),
        f"On average {number(needed)} attributes matter for a prediction. "
        + (f"{unused} of the {total} never matter." if unused else "Each matters for some image."),
        file,
    ]


def interpreted_range_text(known: dict[str, Any], name: str) -> str:
    """Say which input range the interpreted model ``name`` takes; empty if it is unknown."""
    if "interpreted_input_range" not in known:
        return ""
    own, explained = known["interpreted_input_range"], known["input_range"]
    text = f"{name} takes values in the range {range_words(own)}"
    if own == explained:
        return f"{text}."
    return (
        f"{text} and scales them for the explained model, which takes {range_words(explained)}. Do "
        "not scale them yourself."
    )


def never_predicted_text(names: Sequence[str]) -> str:
    """Say that fidelity does not concern classes that are never predicted; empty if none."""
    if not names:
        return ""
    others = len(names) - MOST_NAMED
    more = [f"{others:,} other {'class' if others == 1 else 'classes'}"] if others > 0 else []
    return (
        f"The network does not predict {' or '.join([*names[:MOST_NAMED], *more])} for any test "
        "image, so the fidelity says nothing about "
        f"{'this class' if len(names) == 1 else 'these classes'}."
    )


def _fidelity_text(fidelity: float | None, images: int | None) -> str:
    if fidelity is None:
        return ""
    between = ""
    if interval := accuracy_interval(fidelity * (images or 0), images or 0):
        between = f" (95% confidence interval: {percent_range(interval[0], interval[2])})"
    trust = (
        "Where the two agree, the attributes are one possible explanation of the prediction: the "
        "network may have other reasons for it."
        if fidelity >= LOW_FIDELITY
        else "That is too little: do not use this page to explain the network. A lower learning "
        "rate or more epochs may help."
    )
    return (
        "The interpreter predicts the same class as the network on "
        f"{percent_text(fidelity)} of the test images{between}. This is its fidelity. {trust}"
    )


def _metrics(known: dict[str, Any]) -> list[Metric]:
    test = known["test"]
    values = [
        percent(test["accuracy"]["f"]),
        percent(test["accuracy"]["g"]),
        percent(test["fidelity"]["top1"]),
        number(test["conciseness"][f"{TAU:g}"]),
        str(test["unused_attributes"]),
    ]
    named = zip(MEANINGS.items(), values, strict=True)
    return [Metric(name, value, meaning) for (name, meaning), value in named]


def _findings(known: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return one row per relevant attribute, with the classes that it supports and opposes.

    An attribute that matters for some images may have little relevance for each class on average.
    """
    headings = ["attribute", "counts for (mean relevance)", "counts against", "matters for"]
    relevance = np.array(known.get("class_relevance", []), float)  # NaN if never predicted
    names, use = known.get("class_names", []), known["test"]["attribute_use"]
    rows = []
    for attribute in np.flatnonzero(use):
        column = relevance[:, attribute] if len(relevance) else np.zeros(0)
        order = [c for c in np.argsort(-np.abs(column), kind="stable") if abs(column[c]) > 1 / TAU]
        texts = [
            [f"{names[c]} ({column[c]:.2f})" for c in order if sign * column[c] > 0]
            for sign in (1, -1)
        ]
        shown = map(listed, texts) if any(texts) else ["no class on average"] * 2
        rows.append([str(attribute), *shown, f"{percent_text(use[attribute])} of the images"])
    return headings, rows
