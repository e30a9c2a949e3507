"""Collects the results of ``disentangle`` and ``interpret`` for sections of a report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xnas_tf.interpretation.expert_page import ExpertPage
from xnas_tf.interpretation.flint.expert_text import interpretation_page
from xnas_tf.interpretation.nad.expert_text import paths_page
from xnas_tf.reporting.html.quality import other_data_text
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


_KINDS = (
    _Kind(
        "Paths of classes (NAD)",
        "The sub-architecture that each class uses: a mask over the channels of each layer, "
        "learned while the network was frozen (arXiv 2003.13268).",
        "xnas-tf disentangle",
        DISENTANGLEMENTS,
        "disentanglement.json",
        paths_page,
    ),
    _Kind(
        "Attributes (FLINT)",
        "A few attributes with which a linear classifier imitates the network's predictions, and "
        "the images that activate them (arXiv 2010.09345).",
        "xnas-tf interpret",
        INTERPRETATIONS,
        "interpretation.json",
        interpretation_page,
    ),
)


def interpretations_data(run: Run) -> list[dict[str, Any]]:
    """Return the saved results of each command by candidate, or the reason they cannot be read."""
    return [_data(kind, _of_candidates(kind, run)) for kind in _KINDS]


def model_interpretations(
    root: Path, name: str, accuracy: Accuracy, input_range: str
) -> list[dict[str, Any]]:
    """Return the saved results of each command for the model ``name``, which belongs to no run.

    The commands were run in the folder ``root``. Results with another input range are left out, as
    are those with another accuracy on the test split, which belong to another model or data set of
    the same name. ``left_out`` says so; it is empty if nothing was left out.
    """
    found = []
    for kind in _KINDS:
        folder = root / kind.folder / name
        content, shown = _read(kind, folder) if (folder / kind.file).is_file() else ({}, {})
        why = _why_left_out(content, accuracy, input_range) if content else ""
        data = _data(kind, [{"name": name, **shown}] if shown and not why else [])
        note = f"The results in {kind.folder}/{name} are not shown: {why}." if why else ""
        found.append({**data, "left_out": note})
    return found


def _why_left_out(content: Mapping[str, Any], accuracy: Accuracy, input_range: str) -> str:
    """Say why a result does not belong in the report; empty if it does."""
    given = content.get("input_range")
    if given not in (None, input_range):
        return f"they were made with the input range {given}, and this report with {input_range}"
    if _counts(content.get("accuracy")) != _counts(accuracy.as_dict()):
        return "their accuracy is different, so they belong to another model or data set"
    return ""


def _counts(accuracy: Any) -> dict[str, Any] | None:
    """Return the counts in the result of ``Accuracy.as_dict``, which identify a model."""
    names = ("correct", "images", "commonest_class")
    return {n: accuracy.get(n) for n in names} if isinstance(accuracy, dict) else None


def _data(kind: _Kind, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": kind.title, "about": kind.about, "command": kind.command, "found": found}


def _of_candidates(kind: _Kind, run: Run) -> list[dict[str, Any]]:
    """Return the texts, metrics and pictures in a run's folders, such as ``candidate-00007``."""
    found = []
    for folder in sorted((run.path / kind.folder).glob("*")):
        if match := re.fullmatch(r"candidate-0*(\d+)", folder.name):
            number, (content, shown) = int(match[1]), _read(kind, folder)
            if text := other_data_text(content, run, number):
                shown["summary"].insert(0, text)
            found.append({"candidate": number, "name": f"candidate {number}", **shown})
    return found


def _read(kind: _Kind, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of a result's file, and what the report shows; or no content."""
    try:
        content = json.loads((folder / kind.file).read_text(encoding="utf-8"))
        page = kind.page_of(content)
        pictures = []
        for picture in sorted(folder.glob("*.png")):
            title, about = page.caption(picture.stem)
            source = picture_uri(picture.read_bytes())
            pictures.append({"name": title, "about": about, "picture": source})
    except Exception as error:  # noqa: BLE001 - the file may contain anything
        return {}, {"problem": f"{folder.parent.name}/{folder.name} cannot be read: {error!r}"}
    return content, {
        "summary": [text for text in page.summary if text],
        "metrics": list(page.metrics),
        "pictures": pictures,
    }
