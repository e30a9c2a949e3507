"""Results of ``disentangle`` and ``interpret`` in a run directory, as sections of its report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xnas_tf.interpretation.expert_page import ExpertPage
from xnas_tf.interpretation.flint.expert_text import interpretation_page
from xnas_tf.interpretation.nad.expert_text import paths_page
from xnas_tf.storage.run import Run
from xnas_tf.utils.html_page import picture_uri

PageOf = Callable[[dict[str, Any]], ExpertPage]
"""Returns the texts about a result from the content of its JSON file."""


def interpretations_data(run: Run) -> list[dict[str, Any]]:
    """Return what each command has saved, by candidate, or why it cannot be read."""
    paths, attributes = run.path / "disentanglements", run.path / "interpretations"
    return [
        {
            "title": "Paths of classes (NAD)",
            "about": "The sub-architecture that each class uses: a mask over the channels of each "
            "layer, learned with the network frozen (arXiv 2003.13268).",
            "command": "xnas-tf disentangle",
            "found": _found(paths, "disentanglement.json", paths_page),
        },
        {
            "title": "Attributes (FLINT)",
            "about": "A few attributes from which a linear classifier predicts what the network "
            "predicts, and what activates them (arXiv 2010.09345).",
            "command": "xnas-tf interpret",
            "found": _found(attributes, "interpretation.json", interpretation_page),
        },
    ]


def _found(parent: Path, file: str, page_of: PageOf) -> list[dict[str, Any]]:
    """Return the texts, metrics and pictures in each ``candidate-00007`` of a folder."""
    named = [(re.fullmatch(r"candidate-0*(\d+)", p.name), p) for p in sorted(parent.glob("*"))]
    return [
        {"candidate": int(match[1]), **_read(folder, file, page_of)}
        for match, folder in named
        if match
    ]


def _read(folder: Path, file: str, page_of: PageOf) -> dict[str, Any]:
    try:
        page = page_of(json.loads((folder / file).read_text(encoding="utf-8")))
        pictures = []
        for picture in sorted(folder.glob("*.png")):
            title, about = page.caption(picture.stem)
            source = picture_uri(picture.read_bytes())
            pictures.append({"name": title, "about": about, "picture": source})
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"problem": f"{folder.parent.name}/{folder.name} cannot be read: {error!r}"}
    summary = [text for text in page.summary if text]
    return {"summary": summary, "metrics": list(page.metrics), "pictures": pictures}
