"""Collects texts and metrics on the quality of a model's attributions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xnas_tf.explanation.expert_text import metric_rows
from xnas_tf.explanation.trust_text import trust_paragraphs


def saved_quality(file: Path) -> dict[str, Any]:
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


def quality_data(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdicts on the methods and the metrics, as on the page of ``xnas-tf explain``.

    Args:
        explanation: The result of ``Explanation.as_dict``.

    Returns:
        ``verdicts``, a list of paragraphs, and ``metrics``, the rows of a table; empty if the
        quality was not measured.
    """
    metrics = metric_rows(explanation)
    return {"verdicts": trust_paragraphs(explanation), "metrics": metrics} if metrics else {}
