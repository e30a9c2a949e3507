"""Results of ``disentangle`` and ``interpret`` in a run directory, as sections of its report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xnas_tf.storage.model_source import DISENTANGLEMENTS, INTERPRETATIONS
from xnas_tf.storage.run import Run
from xnas_tf.utils.html_page import picture_uri

if TYPE_CHECKING:
    from xnas_tf.training.chance_level import Accuracy

Metrics = list[tuple[str, float | None]]


class _Kind(NamedTuple):
    """One kind of results, and how its metrics are read from its JSON file."""

    title: str
    about: str
    command: str
    folder: str
    file: str
    metrics_of: Callable[[dict[str, Any]], Metrics]


def _kinds() -> list[_Kind]:
    return [
        _Kind(
            "Paths of classes (NAD)",
            "The sub-architecture that each class uses: a mask over the channels of each "
            "layer, learned with the network frozen (arXiv 2003.13268).",
            "xnas-tf disentangle",
            DISENTANGLEMENTS,
            "disentanglement.json",
            _path_metrics,
        ),
        _Kind(
            "Attributes (FLINT)",
            "A few attributes from which a linear classifier predicts what the network "
            "predicts, and what activates them (arXiv 2010.09345).",
            "xnas-tf interpret",
            INTERPRETATIONS,
            "interpretation.json",
            _attribute_metrics,
        ),
    ]


def interpretations_data(run: Run) -> list[dict[str, Any]]:
    """Return what each command has saved, by candidate, or why it cannot be read."""
    return [_data(kind, _of_candidates(kind, run.path)) for kind in _kinds()]


def model_interpretations(root: Path, name: str, accuracy: Accuracy) -> list[dict[str, Any]]:
    """Return what each command has saved in its default folder of a model that is of no run.

    Args:
        root: The folder in which the commands were run.
        name: The model's name in it.
        accuracy: The model's accuracy on the test split. Results that state another one are of
            another model or data set of this name, and are left out.
    """
    found = []
    for kind in _kinds():
        folder = root / kind.folder / name
        result = _read(kind, folder) if (folder / kind.file).is_file() else None
        is_same = result is not None and result.get("accuracy") == accuracy.as_dict()
        found.append(_data(kind, [{"name": name, **result}] if result and is_same else []))
    return found


def _data(kind: _Kind, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": kind.title, "about": kind.about, "command": kind.command, "found": found}


def _of_candidates(kind: _Kind, path: Path) -> list[dict[str, Any]]:
    """Return the metrics and pictures in each ``candidate-00007`` of a run."""
    parent = path / kind.folder
    named = [(re.fullmatch(r"candidate-0*(\d+)", p.name), p) for p in sorted(parent.glob("*"))]
    return [
        {"candidate": int(match[1]), "name": f"candidate {match[1]}", **_read(kind, folder)}
        for match, folder in named
        if match
    ]


def _read(kind: _Kind, folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / kind.file).read_text(encoding="utf-8"))
        metrics = kind.metrics_of(content)
        pictures = [
            {"name": picture.stem.replace("_", " "), "picture": picture_uri(picture.read_bytes())}
            for picture in sorted(folder.glob("*.png"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"problem": f"{folder.parent.name}/{folder.name} cannot be read: {error!r}"}
    return {"accuracy": content.get("accuracy"), "figures": metrics, "pictures": pictures}


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
