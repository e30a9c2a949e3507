"""Texts that explain attribution maps to a reader who knows the images."""

from __future__ import annotations

from typing import Any

from xnas_tf.explanation.drawing import COLUMNS
from xnas_tf.explanation.quality import MORE_IS_BETTER
from xnas_tf.interpretation.expert_page import (
    Caption,
    ExpertPage,
    Metric,
    accuracy_paragraph,
    listed,
    percent,
)

QUALITY = {
    "deletion": "Mean probability of the class while the most important pixels are removed first.",
    "insertion": "Mean probability of the class while the most important pixels are added first.",
    "sensitivity_n": "Correlation between the importance of random sets of pixels and the effect "
    "of removing them on the model's output; 1 at best, about 0 for a random map.",
    "max_sensitivity": "How much the map changes under invisible changes of the image; 0 at best.",
    "randomization": "How similar the map stays when the model's weights are replaced by random "
    "ones. Near 1, the map does not depend on what the model has learned.",
    "sparseness": "From 0, all pixels equally important, to 1, a single important pixel.",
    "completeness_error": "Difference between the map's sum and the change of output that it "
    "should explain, as a share of that change; 0 at best.",
}
"""The meaning of each metric of ``quality_of``."""
LIMITS = (
    "A map shows which pixels this model's output depends on. It does not show why, nor that the "
    "reason is a good one.",
    "Maps of different methods answer different questions and may disagree. What several of them "
    "show is more reliable.",
    "Each map is scaled to its own largest value: the same colour in two maps does not mean the "
    "same importance.",
    "A few images cannot represent all. Look at images that the model gets wrong, too.",
)


def explanation_page(known: dict[str, Any]) -> ExpertPage:
    """Return the page of a result of ``Explanation.as_dict``."""
    return ExpertPage(
        "What a model looks at",
        _summary(known),
        _metrics(known),
        _findings(known),
        captions(known),
        LIMITS,
    )


def captions(known: dict[str, Any]) -> dict[str, Caption]:
    """Return the captions of the overviews by name; the first explains how to read them all."""
    text = (
        "First row: the images, with their true class if it is known; mistakes are red. Rows "
        "below: the pixels that each method rates as important. Over the image, from dark blue "
        "(unimportant) to yellow (important); or on white, purple for the class and orange "
        "against it."
    )
    starts = range(0, len(known["images"]), COLUMNS)
    titles = ["The images and their maps", *(f"Images from number {start}" for start in starts[1:])]
    return {
        f"overview-{number}": Caption(title, text if number == 1 else "")
        for number, title in enumerate(titles, start=1)
    }


def _summary(known: dict[str, Any]) -> list[str]:
    methods = [method["title"] for method in known["methods"].values()]
    images = known["images"]
    wrong = sum(i["label"] is not None and i["label"] != i["predicted"] for i in images)
    left_out = [f"{title} was left out: {why}." for title, why in known["failures"].items()]
    mistakes = f" The model gets {wrong} of them wrong." if images[0]["label"] is not None else ""
    return [
        f"For each of {len(images)} images, {listed(methods)} computed a map that shows how much "
        f"each pixel contributes to the model's score for a class.{mistakes}",
        accuracy_paragraph(known["accuracy"]),
        *left_out,
    ]


def _metrics(known: dict[str, Any]) -> list[Metric]:
    """Return each metric with the mean of every method, for comparison."""
    means: dict[str, list[str]] = {}
    for method in known["methods"].values():
        for name, quality in method["quality"].items():
            mean = "undefined" if quality["mean"] is None else f"{quality['mean']:.3f}"
            means.setdefault(name, []).append(f"{method['title']}: {mean}")
    return [
        Metric(
            f"{name.replace('_', ' ')} {'↑' if name in MORE_IS_BETTER else '↓'}",
            "; ".join(values),
            QUALITY[name],
        )
        for name, values in means.items()
    ]


def _findings(known: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    headings = ["image", "predicted class", "probability", "explained class", "true class"]
    rows = [
        [
            image["file"] or str(place),
            image["predicted"],
            percent(image["probability"]),
            image["explained"],
            image["label"] or "unknown",
        ]
        for place, image in enumerate(known["images"])
    ]
    return headings, rows
