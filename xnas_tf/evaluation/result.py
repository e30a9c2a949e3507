"""The result of an evaluation, as it goes from the evaluator to the coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from xnas_tf.candidate import State
from xnas_tf.training.timing import PhaseTimes


@dataclass
class Result:
    """The result of an evaluation; see ``Candidate`` for the fields.

    The phases in ``seconds`` are build, trace (the first training step: mostly tracing), train
    (the other steps), validate, score, record (saving the model, if it is saved) and clean.
    ``communication``, the time of collective operations with the waiting in them, is part of
    these phases.
    """

    state: State = "running"
    reason: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: PhaseTimes = field(default_factory=PhaseTimes)
    history: list[dict[str, float]] = field(default_factory=list)
    digest: str = ""
    reused_from: str = ""

    def note(self, reason: str) -> None:
        """Add a remark to the reason, unless it is empty."""
        self.reason = "; ".join(filter(None, [self.reason, reason]))

    def failed(self, reason: str) -> Result:
        """Return the result of the same evaluation after a failure."""
        return Result(
            "failed", reason, seconds=self.seconds, history=self.history, digest=self.digest
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as builtin types: unpickling ours would import TensorFlow."""
        fields = asdict(self)
        return {**fields, "seconds": dict(fields["seconds"])}

    def update(self, fields: Mapping[str, Any]) -> None:
        """Set fields, such as those of a known result."""
        for name, value in fields.items():
            setattr(self, name, value)
