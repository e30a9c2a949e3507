"""What a search algorithm proposes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import platypus


@dataclass
class Proposal:
    """A new architecture, a network never proposed before in this search.

    Attributes:
        genotype: Canonical text of the architecture.
        hyperparameters: Active hyperparameters by name.
        parents: Candidates it was bred from.
        generation: In which it was proposed.
        solution: What Platypus knows of it.
        number: Counts the proposals, from 1.
        features: The architecture in numbers, for a surrogate.
    """

    genotype: str
    hyperparameters: dict[str, Any]
    parents: tuple[int, ...]
    generation: int
    solution: platypus.Solution
    number: int = 0
    features: np.ndarray = field(default_factory=lambda: np.zeros(0))
