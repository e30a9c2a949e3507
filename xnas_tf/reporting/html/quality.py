"""Data on the quality of a model's attributions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def saved_quality(file: Path) -> dict[str, dict[str, float | None]]:
    """Read the mean metrics, by method and name, if ``xnas-tf explain`` measured any."""
    try:
        return quality_data(_saved(file))
    except (KeyError, TypeError, AttributeError):
        return {}


def saved_warnings(file: Path) -> list[str]:
    """Read what ``xnas-tf explain`` warned of, such as empty maps."""
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
    """Return the mean metrics, by method and name, of the result of ``Explanation.as_dict``."""
    return {
        method: {name: metric["mean"] for name, metric in content["quality"].items()}
        for method, content in explanation["methods"].items()
    }
