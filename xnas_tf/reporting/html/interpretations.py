"""Collects the results of ``disentangle`` and ``interpret`` for sections of a report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xnas_tf.interpretation.expert_page import ExpertPage
from xnas_tf.interpretation.flint.expert_text import interpretation_page
from xnas_tf.interpretation.nad.expert_text import paths_page
from xnas_tf.storage.model_source import DISENTANGLEMENTS, INTERPRETATIONS
from xnas_tf.storage.run import Run
from xnas_tf.utils.html_page import picture_uri

if TYPE_CHECKING:
    from xnas_tf.training.chance_level import Accuracy


class _Kind(NamedTuple):
    """One kind of result, with the function that creates its texts from its JSON file."""

    title: str
    about: str
    command: str
    folder: str
    file: str
    page_of: Callable[[dict[str, Any]], ExpertPage]


def _kinds() -> list[_Kind]:
    return [
        _Kind(
            "Paths of classes (NAD)",
            "The sub-architecture that each class uses: a mask over the channels of each "
            "layer, learned while the network was frozen (arXiv 2003.13268).",
            "xnas-tf disentangle",
            DISENTANGLEMENTS,
            "disentanglement.json",
            paths_page,
        ),
        _Kind(
            "Attributes (FLINT)",
            "A few attributes from which a linear classifier reproduces the network's "
            "predictions, and the images that activate them (arXiv 2010.09345).",
            "xnas-tf interpret",
            INTERPRETATIONS,
            "interpretation.json",
            interpretation_page,
        ),
    ]


def interpretations_data(run: Run) -> list[dict[str, Any]]:
    """Return the saved results of each command by candidate, or the reason they cannot be read."""
    return [_data(kind, _of_candidates(kind, run.path)) for kind in _kinds()]


def model_interpretations(root: Path, name: str, accuracy: Accuracy) -> list[dict[str, Any]]:
    """Return the saved results of each command for a model that does not belong to a run.

    Args:
        root: The folder in which the commands were run, which contains their default output
            folders.
        name: The model's name within this folder.
        accuracy: The model's accuracy on the test split. Results with a different accuracy belong
            to another model or data set of the same name, and are omitted.
    """
    found, own = [], accuracy.as_dict()
    for kind in _kinds():
        folder = root / kind.folder / name
        result = _read(kind, folder) if (folder / kind.file).is_file() else None
        is_same = result is not None and _counts(result.get("accuracy")) == _counts(own)
        found.append(_data(kind, [{"name": name, **result}] if result and is_same else []))
    return found


def _counts(accuracy: Any) -> dict[str, Any] | None:
    """Return the counts in the result of ``Accuracy.as_dict``, which identify a model."""
    names = ("correct", "images", "commonest_class")
    return {n: accuracy.get(n) for n in names} if isinstance(accuracy, dict) else None


def _data(kind: _Kind, found: list[dict[str, Any]]) -> dict[str, Any]:
    shown = [{key: each[key] for key in each if key != "accuracy"} for each in found]
    return {"title": kind.title, "about": kind.about, "command": kind.command, "found": shown}


def _of_candidates(kind: _Kind, path: Path) -> list[dict[str, Any]]:
    """Return the texts, metrics and pictures in a run's folders, such as ``candidate-00007``."""
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
        page = kind.page_of(content)
        pictures = []
        for picture in sorted(folder.glob("*.png")):
            title, about = page.caption(picture.stem)
            source = picture_uri(picture.read_bytes())
            pictures.append({"name": title, "about": about, "picture": source})
    except Exception as error:  # noqa: BLE001 - the file may contain anything
        return {"problem": f"{folder.parent.name}/{folder.name} cannot be read: {error!r}"}
    return {
        "accuracy": content.get("accuracy"),
        "summary": [text for text in page.summary if text],
        "metrics": list(page.metrics),
        "pictures": pictures,
    }
