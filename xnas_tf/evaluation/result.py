"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from xnas_tf.candidate import State
from xnas_tf.training.timing import PhaseTimes


@dataclass
class Result:
    """What an evaluation found; see ``Candidate`` for the fields.

    The phases in ``seconds`` are build, trace (the first training step: mostly tracing), train
    (the others), validate, score, record (keeping the model, where it is kept) and clean.
    ``communication``, collective operations and the waiting in them, is a part of those phases.
    """

    state: State = "running"
    reason: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: PhaseTimes = field(default_factory=PhaseTimes)
    history: list[dict[str, float]] = field(default_factory=list)
    digest: str = ""
    answered_by: str = ""

    def note(self, reason: str) -> None:
        """Adds what is odd."""
        self.reason = "; ".join(filter(None, [self.reason, reason]))

    def failed(self, reason: str) -> Result:
        """The outcome of the same evaluation when it failed."""
        return Result(
            "failed", reason, seconds=self.seconds, history=self.history, digest=self.digest
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields without classes of ours, which would be imported, and TensorFlow with them."""
        found = asdict(self)
        return {**found, "seconds": dict(found["seconds"])}

    def take(self, answer: Mapping[str, Any]) -> None:
        """Takes fields over from what is known already."""
        for name, value in answer.items():
            setattr(self, name, value)
