"""Results of ``disentangle`` and ``interpret`` in a run directory, as sections of its report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xnas_tf.storage.run import Run
from xnas_tf.utils.html_page import picture_uri

Metrics = list[tuple[str, float | None]]
MetricsOf = Callable[[dict[str, Any]], Metrics]
"""Returns the metrics to show, by name, from the content of a JSON file."""


def interpretations_data(run: Run) -> list[dict[str, Any]]:
    """Return what each command has saved, by candidate, or why it cannot be read."""
    paths, attributes = run.path / "disentanglements", run.path / "interpretations"
    return [
        {
            "title": "Paths of classes (NAD)",
            "about": "The sub-architecture that each class uses: a mask over the channels of each "
            "layer, learned with the network frozen (arXiv 2003.13268).",
            "command": "xnas-tf disentangle",
            "found": _found(paths, "disentanglement.json", _path_metrics),
        },
        {
            "title": "Attributes (FLINT)",
            "about": "A few attributes from which a linear classifier predicts what the network "
            "predicts, and what activates them (arXiv 2010.09345).",
            "command": "xnas-tf interpret",
            "found": _found(attributes, "interpretation.json", _attribute_metrics),
        },
    ]


def _found(parent: Path, file: str, metrics_of: MetricsOf) -> list[dict[str, Any]]:
    """Return the metrics and pictures in each ``candidate-00007`` of a folder."""
    named = [(re.fullmatch(r"candidate-0*(\d+)", p.name), p) for p in sorted(parent.glob("*"))]
    return [
        {"candidate": int(match[1]), **_read(folder, file, metrics_of)}
        for match, folder in named
        if match
    ]


def _read(folder: Path, file: str, metrics_of: MetricsOf) -> dict[str, Any]:
    try:
        metrics = metrics_of(json.loads((folder / file).read_text(encoding="utf-8")))
        pictures = [
            {"name": picture.stem.replace("_", " "), "picture": picture_uri(picture.read_bytes())}
            for picture in sorted(folder.glob("*.png"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"problem": f"{folder.parent.name}/{folder.name} cannot be read: {error!r}"}
    return {"figures": metrics, "pictures": pictures}


def _path_metrics(content: dict[str, Any]) -> Metrics:
    mistakes = content["mistakes"]
    return [
        *_diversity_metrics(content),
        ("share of channels kept ↓", content["kept"]),
        ("rank correlation of similarity and confusion", content["rank_correlation"]),
        ("misclassified images", mistakes["count"]),
        (
            "share of them predicted as one of the three classes with the most similar paths",
            mistakes["taken_for_a_similar_class"],
        ),
        ("the same by chance", mistakes["by_chance"]),
    ]


def _diversity_metrics(content: dict[str, Any]) -> Metrics:
    # Files of versions before the correction for chance have the uncorrected diversity only.
    if "uncorrected_diversity" not in content:
        return [("diversity of paths, not corrected for chance", content["diversity"])]
    layers = content["layers"]
    expected, similarity = (
        sum(layer[key] for layer in layers) / len(layers)
        for key in ("expected_similarity", "uncorrected_similarity")
    )
    return [
        ("diversity of paths, corrected for chance (random paths: 1) ↑", content["diversity"]),
        ("diversity of paths as in the paper, not corrected", content["uncorrected_diversity"]),
        ("similarity of paths (Jaccard index)", similarity),
        ("the same expected of random paths with as many channels", expected),
        ("false alarms: images of other classes predicted as the class ↓", content["false_alarms"]),
    ]


def _attribute_metrics(content: dict[str, Any]) -> Metrics:
    test = content["test"]
    return [
        ("accuracy of the network ↑", test["accuracy"]["f"]),
        ("accuracy of its interpreter ↑", test["accuracy"]["g"]),
        ("fidelity: both predict the same class ↑", test["fidelity"]["top1"]),
        ("attributes that matter for an image, CNS(5) ↓", test["conciseness"]["5"]),
        ("attributes that never matter", test["unused_attributes"]),
    ]
