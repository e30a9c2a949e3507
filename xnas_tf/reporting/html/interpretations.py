"""What tools of interpretation have saved beside a run, as sections of its report."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnas_tf.storage.run import Run

Figures = list[tuple[str, float | None]]


@dataclass(frozen=True)
class Kind:
    """A tool that saves a folder for each candidate, ``RUN/FOLDER/candidate-00007``.

    Attributes:
        folder: The folder in the run directory.
        file: The figures in it, JSON; the pictures beside it are shown too.
        title: A heading.
        about: What one sees, in a sentence.
        command: What writes it.
        figures: From the content of the file to what is told of it, by name.
    """

    folder: str
    file: str
    title: str
    about: str
    command: str
    figures: Callable[[dict[str, Any]], Figures]


def _paths_of_classes(known: dict[str, Any]) -> Figures:
    return [
        *_diversity(known),
        ("share of channels kept ↓", known["kept"]),
        ("rank correlation of similarity and confusion", known["rank_correlation"]),
        ("misclassified images", known["mistakes"]["count"]),
        (
            "share of them taken for one of the three classes of the most similar paths",
            known["mistakes"]["taken_for_a_similar_class"],
        ),
        ("the same by chance", known["mistakes"]["by_chance"]),
    ]


def _diversity(known: dict[str, Any]) -> Figures:
    """Files of versions before the correction for chance have the uncorrected diversity alone."""
    if "uncorrected_diversity" not in known:
        return [("diversity of paths, not corrected for chance", known["diversity"])]
    layers = known["layers"]
    expected, found = (
        sum(layer[key] for layer in layers) / len(layers)
        for key in ("expected_similarity", "uncorrected_similarity")
    )
    return [
        ("diversity of paths, corrected for chance (random paths: 1) ↑", known["diversity"]),
        ("diversity of paths as in the paper, not corrected", known["uncorrected_diversity"]),
        ("similarity of paths (Jaccard index)", found),
        ("the same expected of random paths with as many channels", expected),
        ("false alarms: other classes' images taken for the class ↓", known["false_alarms"]),
    ]


def _attributes(known: dict[str, Any]) -> Figures:
    test = known["test"]
    return [
        ("accuracy of the network ↑", test["accuracy"]["f"]),
        ("accuracy of its interpreter ↑", test["accuracy"]["g"]),
        ("fidelity: both give the same answer ↑", test["fidelity"]["top1"]),
        ("attributes that matter for an image, CNS(5) ↓", test["conciseness"]["5"]),
        ("attributes that never matter", test["unused_attributes"]),
    ]


KINDS = (
    Kind(
        "disentanglements",
        "disentanglement.json",
        "Paths of classes (NAD)",
        "The sub-architecture that each class uses: a mask over the channels of each layer, "
        "learned with the network frozen (arXiv 2003.13268).",
        "xnas-tf disentangle",
        _paths_of_classes,
    ),
    Kind(
        "interpretations",
        "interpretation.json",
        "Attributes (FLINT)",
        "A few attributes from which a linear classifier answers as the network does, and what "
        "excites them (arXiv 2010.09345).",
        "xnas-tf interpret",
        _attributes,
    ),
)


def interpretations_data(run: Run) -> list[dict[str, Any]]:
    """Each kind with what there is of it, by candidate; what cannot be read says why."""
    return [
        {
            "title": kind.title,
            "about": kind.about,
            "command": kind.command,
            "found": [
                {"candidate": number, **_read(kind, folder)}
                for number, folder in _folders(run.path / kind.folder)
            ],
        }
        for kind in KINDS
    ]


def _folders(path: Path) -> list[tuple[int, Path]]:
    named = [(re.fullmatch(r"candidate-0*(\d+)", p.name), p) for p in sorted(path.glob("*"))]
    return [(int(match[1]), folder) for match, folder in named if match]


def _read(kind: Kind, folder: Path) -> dict[str, Any]:
    try:
        figures = kind.figures(json.loads((folder / kind.file).read_text(encoding="utf-8")))
        pictures = [
            {"name": file.stem.replace("_", " "), "picture": png_uri(file.read_bytes())}
            for file in sorted(folder.glob("*.png"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"problem": f"{kind.folder}/{folder.name} cannot be read: {error!r}"}
    return {"figures": figures, "pictures": pictures}


def png_uri(picture: bytes) -> str:
    """A PNG picture as the page holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
