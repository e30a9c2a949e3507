"""The one record type: a candidate from proposal to objective values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xnas_tf.errors import InputError
from xnas_tf.registry import describe

if TYPE_CHECKING:
    import keras

State = Literal["running", "done", "failed", "infeasible", "duplicate"]
PHASES = ("build", "trace", "train", "validate", "score", "record", "clean")
"""What an evaluation consists of, in the order in which each begins."""
RECOMMENDED, BEST = "recommended", "best"
CHOICES = (RECOMMENDED, BEST)
"""What can be said in place of an id: see ``Run.choose``."""
NO_GROUP = -1
"""The group of a candidate that waits for one."""


@dataclass
class Candidate:
    """One point of the search space in one run.

    Attributes:
        id: Number in the run, from 1, in the order of proposal.
        genotype: Canonical text of the architecture.
        hyperparameters: Active hyperparameters by name.
        parents: Ids of the candidates it was bred from; none in generation 0.
        generation: Generation of NSGA-II that proposed it.
        seed: Seed of its training; depends on the run's seed and the genotype alone.
        epochs: Fidelity: epochs of training, those of lower rungs included.
        promoted_from: Id of the candidate of the rung below whose training this one goes on with
            (``search.fidelity``); 0 for one that began anew.
        state: ``running`` also for one whose search was killed.
        reason: Why it failed, is infeasible or is a duplicate, or what is odd about its values.
        objectives: Value by objective; empty unless done.
        metrics: Further figures by name.
        seconds: Time by phase: build, trace (the first training step), train (the other steps),
            validate, score, record (keeping its model) and clean (freeing it); of which
            communication between ranks; and before them the group's wait for it. What it goes on
            from is not counted again.
        history: Figures of each epoch.
        started: Time of the start, ISO 8601 UTC; ``finished`` likewise.
        group: The group of ranks that trains or trained it.
        answers_before: How many candidates the search knew the end of when it proposed this.
        answer: Its place in the order in which they ended, from 1; 0 while it has not.
        deaths: How often its group died while training it.
        digest: Hash of its network, with what else tells evaluations apart; empty if no model
            was built. See ``evaluation_digest``.
        answered_by: Whose recorded results these are, ``candidate N of RUN``; empty if they are
            its own.
        model_path: The kept Keras model, for those on the front when they finished.
    """

    id: int
    genotype: str
    hyperparameters: dict[str, Any]
    parents: tuple[int, ...] = ()
    generation: int = 0
    seed: int = 0
    epochs: int = 0
    promoted_from: int = 0
    state: State = "running"
    reason: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    group: int = NO_GROUP
    answers_before: int = 0
    answer: int = 0
    deaths: int = 0
    digest: str = ""
    answered_by: str = ""
    model_path: Path | None = None

    @property
    def counts(self) -> bool:
        """Whether it counts in its generation: done, whoever was trained, or failed."""
        return self.state in ("done", "failed")

    @property
    def trained(self) -> bool:
        """Whether it counts as a training: done, or failed on the way, and not answered by an
        earlier run."""
        return self.counts and not self.answered_by

    @property
    def collapsed(self) -> bool:
        """Whether its training came to nothing although it did not fail: see ``reason``."""
        return bool(self.metrics.get("collapsed"))

    @property
    def seconds_total(self) -> float:
        """Seconds of its evaluation, without the wait before it."""
        return sum(self.seconds.get(phase, 0.0) for phase in PHASES)

    def value(self, name: str) -> float:
        """An objective's value, or that of a measure of the same name that only limits."""
        return self.objectives[name] if name in self.objectives else self.metrics[name]

    def violation(self, constraints: Mapping[str, Any]) -> float:
        """Total violation of the constraints, each as a share of its limit; 0 if none."""
        return sum(limit.violation(self.value(name)) for name, limit in constraints.items())

    def load_model(self) -> keras.Model:
        """Loads the trained Keras model, in safe mode.

        Raises:
            InputError: If none was kept: only candidates that were on the front when they
                finished have one.
        """
        if self.model_path is None or not self.model_path.is_file():
            raise InputError(
                f"candidate {self.id} ({self.state}) has no kept model: only candidates that "
                "were Pareto-optimal when they finished have one"
            )
        import keras

        from xnas_tf.keras_tools.input_range import declare_range

        try:
            model = keras.saving.load_model(self.model_path, compile=False, safe_mode=True)
        except Exception as error:  # custom layers, lambdas: whatever Keras or they raise
            raise InputError(
                f"candidate {self.id}: its model {self.model_path} cannot be loaded in safe mode: "
                f"{describe(error)}. Register custom layers with keras.saving, and use no Lambda"
            ) from error
        return declare_range(model)
