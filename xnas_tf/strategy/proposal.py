"""Proposals of a search algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import platypus


@dataclass
class Proposal:
    """A new architecture whose network has not been proposed before in this search."""

    genotype: str
    identity: str  # the same for equal networks
    hyperparameters: dict[str, Any]  # the active ones
    parents: tuple[int, ...]  # ids of candidates
    solution: platypus.Solution
    number: int = 0  # in the search, counted from 1
    generation: int = 0
    features: np.ndarray = field(default_factory=lambda: np.zeros(0))  # for a surrogate
