"""Formats the size of an image as text."""

from __future__ import annotations


def size_text(height: int, width: int) -> str:
    """Format a size in pixels as height x width, as in arrays and in ``dataset.size``."""
    return f"{height}x{width}"
