"""Metrics of a run's models on the test split, stored as facts of the run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def candidate_name(number: int) -> str:
    """Return the name of a candidate's model, as trained by the search, in files and facts."""
    return f"candidate-{number:05d}"


def figures_fact(name: str) -> str:
    """Return the name of the fact with a model's metrics."""
    return f"test figures of {name}"


def source_of(digest: str, model: Path) -> dict[str, Any]:
    """Return what metrics depend on, given the digest of the data and the model's file."""
    return {"data": digest, "model": hashlib.sha256(model.read_bytes()).hexdigest()}
