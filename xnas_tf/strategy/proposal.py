"""Proposals of a search algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import platypus


@dataclass
class Proposal:
    """A new architecture whose network has not been proposed before in this search.

    Attributes:
        genotype: Canonical text of the architecture.
        identity: Text that is the same for equal networks.
        hyperparameters: Active hyperparameters by name.
        parents: Ids of the candidates from which it was generated.
        solution: The Platypus solution.
        number: Number of the proposal in the search, counted from 1.
        generation: Generation in which it was proposed.
        features: Numeric encoding of the architecture, for a surrogate.
    """

    genotype: str
    identity: str
    hyperparameters: dict[str, Any]
    parents: tuple[int, ...]
    solution: platypus.Solution
    number: int = 0
    generation: int = 0
    features: np.ndarray = field(default_factory=lambda: np.zeros(0))
