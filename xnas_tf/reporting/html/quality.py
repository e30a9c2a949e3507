"""Collects data on the quality of a model's attributions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xnas_tf.explanation.quality import RANDOM, RANDOM_KEY


def saved_quality(file: Path) -> dict[str, dict[str, float | None]]:
    """Read the result of ``quality_data`` from a file, if ``xnas-tf explain`` wrote one."""
    try:
        return quality_data(_saved(file))
    except (KeyError, TypeError, AttributeError):
        return {}


def saved_warnings(file: Path) -> list[str]:
    """Read the warnings of ``xnas-tf explain``, for example about empty maps."""
    try:
        return [str(text) for text in _saved(file).get("warnings", [])]
    except (TypeError, AttributeError):
        return []


def _saved(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def quality_data(explanation: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return the mean metrics in the result of ``Explanation.as_dict``.

    The metrics are keyed by the method's title (or by its name in files, if several methods have
    the same title), and then by the metric's name. Random maps, for comparison, come last; files of
    earlier versions have none.
    """
    methods = explanation["methods"]
    titles = [content.get("title", key) for key, content in methods.items()]
    random = explanation.get(RANDOM_KEY)
    found = {
        title if titles.count(title) == 1 else key: {
            name: metric["mean"] for name, metric in content["quality"].items()
        }
        for (key, content), title in zip(methods.items(), titles, strict=True)
    }
    return found | ({RANDOM: {n: m["mean"] for n, m in random.items()}} if random else {})
