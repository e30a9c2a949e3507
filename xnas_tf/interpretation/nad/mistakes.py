"""Counts misclassified images, and those that can be compared with paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mistakes_count(known: Mapping[str, Any]) -> str:
    """Return the number of misclassified images, and how many were examined if it is known."""
    count, examined = known["mistakes"]["count"], known.get("images", {}).get("test")
    return f"{count:,} of {examined:,}" if examined else f"{count:,}"


def compared_mistakes(mistakes: Mapping[str, Any]) -> int:
    """Return the number of mistakes compared with paths: in earlier versions, all that count."""
    return int(mistakes.get("compared", mistakes["count"]))


def can_differ_from_chance(mistakes: Mapping[str, Any]) -> bool:
    """Return whether there are mistakes and more than three classes that could be confused."""
    return bool(compared_mistakes(mistakes)) and mistakes["by_chance"] < 1
