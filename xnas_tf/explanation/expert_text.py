"""Texts that explain attribution maps to readers who know the images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from xnas_tf.explanation.drawing import COLUMNS
from xnas_tf.explanation.quality import MORE_IS_BETTER, RANDOM, RANDOM_KEY
from xnas_tf.explanation.tables import measured_images, method_titles
from xnas_tf.explanation.trust_text import maps_mean_little, trust_paragraphs, unreliable_methods
from xnas_tf.interpretation.accuracy_text import (
    accuracy_paragraph,
    assumed_range_text,
    range_warning,
)
from xnas_tf.interpretation.expert_page import Caption, ExpertPage, Metric, Rows, listed, percent
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.number_format import counted, percent_range, percent_text

QUALITY = {
    "deletion": (
        "probability while pixels are hidden",
        "Mean probability of the class as pixels are hidden, the most important ones first.",
    ),
    "insertion": (
        "probability while pixels are revealed",
        "Mean probability of the class as pixels are revealed, the most important ones first.",
    ),
    "sensitivity_n": (
        "agreement with the effect of pixels",
        "Whether hiding the sets of pixels that the map calls important changes the model's output "
        "most. 1 at best, about 0 for a random map, below 0 if hiding them changes it least.",
    ),
    "max_sensitivity": (
        "change under invisible noise",
        "How much the map changes when noise too weak to see is added to the image; 0 at best.",
    ),
    "randomization": (
        "similarity to an untrained model's map",
        "How similar the map stays when what the model has learned is replaced by random numbers. "
        "If it is near 1, the map does not depend on what the model has learned. Too pessimistic "
        "for images with large black areas.",
    ),
    "sparseness": (
        "concentration",
        "From 0 (all pixels are equally important) to 1 (only one pixel is important).",
    ),
    "completeness_error": (
        "unexplained share",
        "How far the map's sum is from the change in the output that it should explain, relative "
        "to the larger of the two; 0 at best.",
    ),
}
"""The name and the meaning of each metric of ``quality_of``, for readers."""
MOST_CLASSES = 30
"""Maximum number of classes for which all accuracies are shown."""
MOST_FINDINGS = 10
"""Maximum number of classes for which a finding is shown."""
LIMITS = (
    "A map shows which pixels this model's output depends on. It does not show why, nor that the "
    "reason is a good one.",
    "Maps of different methods answer different questions and may disagree. What several of them "
    "show is more reliable.",
    "Each map is scaled to its own largest value: the same colour in two maps does not mean the "
    "same importance.",
    "A few images cannot represent all of them.",
)
MORE_IMAGES = {
    False: "Look at misclassified images, too: whoever made this page can make one with such "
    "images (`xnas-tf explain --mistakes`; in Python: `mistakes=True`).",
    True: "Only misclassified images are shown here. The maps of correctly classified images may "
    "differ (`xnas-tf explain` without `--mistakes`; in Python: without `mistakes=True`).",
}
"""Which other images to look at, depending on whether only mistakes were explained."""


def explanation_page(known: dict[str, Any]) -> ExpertPage:
    """Return the page for a result of ``Explanation.as_dict``."""
    return ExpertPage(
        "What a model looks at",
        _summary(known),
        metric_rows(known),
        _findings(known),
        captions(known),
        [*LIMITS, MORE_IMAGES[bool(known.get("only_mistakes"))]],
        _by_class(known),
        range_warning(known["accuracy"] or known),
    )


def captions(known: dict[str, Any]) -> dict[str, Caption]:
    """Return the captions of the overviews by name; the first explains how to read overviews."""
    heading = (
        "their true class; mistakes are red"
        if any(image["label"] is not None for image in known["images"])
        else "the class that the model predicts, because the true class is not known"
    )
    text = (
        f"First row: the images, with {heading}. Rows below: the pixels that each method rates as "
        "important. Maps over the grey image range from dark blue (unimportant) to yellow "
        "(important). On maps with a white background, purple pixels speak for the class and "
        "orange ones against it."
    )
    count = len(known["images"])
    ends = [(start + 1, min(start + COLUMNS, count)) for start in range(COLUMNS, count, COLUMNS)]
    others = [f"Image {a}" if a == b else f"Images {a} to {b}" for a, b in ends]
    titles = ["The images and their maps", *others]
    return {
        f"overview-{number}": Caption(title, text if number == 1 else "")
        for number, title in enumerate(titles, start=1)
    }


def _summary(known: dict[str, Any]) -> list[str]:
    accuracy = known["accuracy"]
    return [
        accuracy_paragraph(accuracy, known["accuracy_by_class"]),
        *filter(None, [assumed_range_text(known["accuracy"] or known)]),
        _images_text(known),
        known.get("shown_channels", ""),
        *trust_paragraphs(known),
        *(f"{warning}." for warning in known["warnings"]),
        *_concentrated(known),
    ]


def _images_text(known: dict[str, Any]) -> str:
    """Say which images were explained, and with which methods."""
    methods = [method["title"] for method in known["methods"].values()]
    images = known["images"]
    shown = f"{'each of ' if len(images) > 1 else ''}{counted(len(images), 'image')}"
    if known.get("only_mistakes"):
        mistakes = " Only misclassified images were chosen."
    elif images[0]["label"] is not None:
        wrong = sum(image["label"] != image["predicted"] for image in images)
        mistakes = f" The model misclassifies {wrong or 'none'} of them."
    else:
        mistakes = ""
    return (
        f"For {shown}, {listed(methods)} computed a map that shows how much each pixel contributes "
        f"to the model's score for a class.{mistakes}"
    )


def _concentrated(known: dict[str, Any]) -> list[str]:
    """For each method, say which classes it locates in a single part of the image.

    Nothing is said about methods that the page calls not reliable.
    """
    left_out = known["methods"] if maps_mean_little(known) else unreliable_methods(known)
    return [
        f"In explanations of the score of {each['target']}, {percent_text(each['share'], 0)} of "
        f"the map of {method['title']} lies in the {each['region']} ninth of the image (a uniform "
        f"map: 11%; mean of {each['images']} images). Is that where the object is?"
        for key, method in known["methods"].items()
        if key not in left_out
        for each in method["concentrated"][:MOST_FINDINGS]
    ]


def _by_class(known: dict[str, Any]) -> tuple[str, Rows]:
    """Return the accuracy of each class, or of the least accurate ones if there are many."""
    classes = [each for each in known["accuracy_by_class"] if each["images"]]
    title = "Accuracy by class"
    if len(classes) > MOST_CLASSES:
        title = f"Accuracy by class, the {MOST_FINDINGS} lowest of {len(classes)}"
        ranked = sorted(classes, key=lambda each: each["correct"] / each["images"])
        classes = ranked[:MOST_FINDINGS]
    rows = []
    for each in classes:
        correct, images = each["correct"], each["images"]
        low, share, high = accuracy_interval(correct, images) or [math.nan] * 3  # there are images
        interval = percent_range(low, high)
        rows.append([each["class"], f"{images:,}", f"{correct:,}", percent(share), interval])
    headings = ["class", "test images", "classified correctly", "accuracy", "95% interval"]
    return title, (headings, rows)


def metric_rows(known: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics in ``Explanation.as_dict``, each with its mean for every method."""
    means: dict[str, list[str]] = {}
    titles = method_titles(known)
    for key, method in known["methods"].items():
        for name, quality in method["quality"].items():
            some = f" ({measured_images(method)} images)" if any(method.get("empty", [])) else ""
            means.setdefault(name, []).append(f"{titles[key]}: {_mean_text(quality)}{some}")
    for name, quality in known.get(RANDOM_KEY, {}).items():
        means.setdefault(name, []).append(f"{RANDOM}: {_mean_text(quality)}")
    return [
        Metric(
            f"{QUALITY[name][0]} {'↑' if name in MORE_IS_BETTER else '↓'}",
            "; ".join(values),
            QUALITY[name][1],
        )
        for name, values in means.items()
    ]


def _mean_text(quality: Mapping[str, Any]) -> str:
    return "undefined" if quality["mean"] is None else f"{quality['mean']:.3f}"


def _findings(known: dict[str, Any]) -> Rows:
    has_files = any(image["file"] for image in known["images"])
    columns = ["predicted class", "probability", "explained class", "true class"]
    rows = []
    for place, image in enumerate(known["images"], start=1):
        rows.append(
            [
                str(place),
                *([image["file"] or ""] if has_files else []),
                image["predicted"],
                percent(image["probability"]),
                image["explained"],
                image["label"] or "unknown",
            ]
        )
    return ["image", *(["file"] if has_files else []), *columns], rows
