"""A candidate's record, from proposal to objective values, and the result of its evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xnas_tf.errors import InputError
from xnas_tf.utils.constraints import Constraint, describe_violations
from xnas_tf.utils.markup import page_html, short_repr, table_html
from xnas_tf.utils.number_format import brief_value, format_value, setting_text, shortened
from xnas_tf.utils.phase_times import PhaseTimes

if TYPE_CHECKING:
    import keras

State = Literal["running", "done", "failed", "infeasible", "duplicate"]
PHASES = ("build", "trace", "train", "validate", "score", "record", "clean")
"""Phases of an evaluation, in the order in which they begin."""
RECOMMENDED, BEST = "recommended", "best"
CHOICES = (RECOMMENDED, BEST)
"""Names that can be given instead of an id: see ``Run.choose``."""
NO_GROUP = -1
"""The group of a candidate that has not been assigned to any group."""


@dataclass(repr=False)
class Candidate:
    """One point of the search space in one run.

    Attributes:
        id: Number of the candidate in the run, counted from 1 in order of proposal.
        genotype: Canonical text of the architecture.
        hyperparameters: Active hyperparameters by name.
        parents: Ids of the candidates from which this one was generated; empty in generation 0.
        generation: Generation of the search that proposed the candidate.
        seed: Training seed, derived from the run's seed and the genotype; of a reused result, the
            seed with which it was trained.
        epochs: Fidelity: number of training epochs, including those on lower rungs.
        promoted_from: Id of the lower-rung candidate whose training this one resumes
            (``search.fidelity``); 0 if it is trained from scratch.
        state: State of the evaluation; it stays ``running`` if the search is killed.
        reason: Why the candidate failed, is infeasible or is a duplicate, or what is unusual about
            its values.
        objectives: Values by objective; empty unless the candidate is done.
        metrics: Other values by name.
        seconds: Seconds by phase: build, trace (the first training step), train (the other steps),
            validate, score, record (saving the model) and clean (freeing it), without those of the
            rungs below. Two more entries give the time of communication between ranks, which is
            part of these phases, and the time that the group waited for the candidate. If the
            evaluation was resumed, ``train`` includes the time before, up to the last checkpoint.
        history: Metrics of each epoch.
        versions: Versions of the packages used in the evaluation, since it was last resumed; of a
            reused result, those of its training.
        started: Time when the evaluation started or was last resumed, ISO 8601 UTC.
        finished: End time, ISO 8601 UTC.
        group: Group of ranks that trains or trained the candidate.
        finished_before: Number of candidates that had ended when this one was proposed.
        finish_order: The same when this one ended, counting itself; 0 until then.
        lost_groups: Number of times that the group or the search's process was lost while this
            candidate was evaluated, before a new checkpoint was saved.
        digest: Hash of the network and of everything else that distinguishes evaluations; empty if
            no model was built. See ``evaluation_digest``.
        reused_from: Source of reused results, as ``candidate N of RUN``; empty if none are reused.
        model_path: File of the saved Keras model, if it was on the front when it finished.
        module: Name of the module that defines the HyperModel and may register Keras layers.
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
    finished_before: int = 0
    finish_order: int = 0
    lost_groups: int = 0
    digest: str = ""
    reused_from: str = ""
    model_path: Path | None = None
    module: str = ""

    @property
    def counts(self) -> bool:
        """Whether the candidate counts towards its generation, even with reused results."""
        return self.state in ("done", "failed")

    @property
    def trained(self) -> bool:
        """Whether the candidate was trained: it is done or failed, without reused results."""
        return self.counts and not self.reused_from

    @property
    def collapsed(self) -> bool:
        """Whether training collapsed without failing: see ``reason``."""
        return bool(self.metrics.get("collapsed"))

    @property
    def kept_epoch(self) -> int:
        """The epoch that the weights come from: the last or the best one (``training.keep``).

        Keras callbacks, or a HyperModel's own ``fit``, may end training before ``epochs``.
        """
        reported = sum("loss" in epoch for epoch in self.history)  # a HyperModel's may report none
        return int(self.metrics.get("best_epoch", reported or self.epochs))

    @property
    def seconds_total(self) -> float:
        """Seconds that the evaluation took, excluding the time that the group waited for it."""
        return sum(self.seconds.get(phase, 0.0) for phase in PHASES)

    def __repr__(self) -> str:
        values = {name: brief_value(value) for name, value in self.objectives.items()}
        return short_repr(self, id=self.id, state=self.state, **values, genotype=self.genotype)

    def _repr_html_(self) -> str:
        facts = {
            "genotype": shortened(self.genotype),
            "state": self.state,
            "reason": self.reason,
            "epochs": self.epochs,
            "parents": ", ".join(map(str, self.parents)),
            "seconds": f"{self.seconds_total:.1f}",
            "model": self.model_path or "none was kept",
        }
        settings = [(name, setting_text(value)) for name, value in self.hyperparameters.items()]
        measured = {**self.objectives, **self.metrics}
        values = [(name, format_value(value)) for name, value in measured.items()]
        return page_html(
            f"Candidate {self.id}",
            facts,
            table_html(["hyperparameter", "value"], settings),
            table_html(["objective or metric", "value"], values),
        )

    def with_result(self, result: Result) -> Candidate:
        """Return this candidate with the result of its evaluation."""
        return replace(self, **result.as_dict())

    def value(self, name: str) -> float:
        """Return the value of an objective, or of a measure that only a constraint needs."""
        return self.objectives[name] if name in self.objectives else self.metrics[name]

    def violation(self, constraints: Mapping[str, Constraint]) -> float:
        """Return the sum of all constraint violations, each as a fraction of its limit."""
        return sum(limit.violation(self.value(name)) for name, limit in constraints.items())

    def load_model(self, safe: bool = True) -> keras.Model:
        """Load the trained Keras model, after importing its HyperModel's module.

        The model expects images with values from 0 to 1; ``Run.prepare`` converts others.

        Args:
            safe: Whether to reject a model that contains Python code, as in a Lambda layer.

        Raises:
            InputError: If the model cannot be loaded or found, or was not saved, as only those of
                candidates that were on the front when they finished are.
        """
        if self.model_path is None:
            raise InputError(
                f"candidate {self.id} ({self.state}) has no saved model: only candidates that "
                "were Pareto-optimal when they finished have one"
            )
        if not self.model_path.is_file():
            raise InputError(
                f"candidate {self.id}: its model {self.model_path} does not exist; the current "
                f"folder is {Path.cwd()}"
            )
        from xnas_tf.keras_tools.input_range import declare_range  # noqa: PLC0415 - heavy
        from xnas_tf.keras_tools.model_files import load_model  # noqa: PLC0415 - heavy

        try:
            return declare_range(load_model(self.model_path, safe, self.module))
        except InputError as error:
            raise InputError(f"candidate {self.id}: its model {error}") from error

    def violations(self, constraints: Mapping[str, Constraint]) -> str:
        """Describe violated constraints; empty if there are none or the candidate is not done."""
        if self.state != "done":
            return ""
        return describe_violations(constraints, {**self.metrics, **self.objectives})


@dataclass
class Result:
    """The result of an evaluation; see ``Candidate`` for the fields.

    ``seed`` and ``versions`` are None unless the result is reused and they differ from the task's.
    """

    state: State = "running"
    reason: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: PhaseTimes = field(default_factory=PhaseTimes)
    history: list[dict[str, float]] = field(default_factory=list)
    digest: str = ""
    reused_from: str = ""
    seed: int | None = None
    versions: dict[str, str] | None = None

    def note(self, reason: str) -> None:
        """Add a remark to the reason, unless the remark is empty."""
        self.reason = "; ".join(filter(None, [self.reason, reason]))

    def failed(self, reason: str) -> Result:
        """Return a failed result with this reason, keeping the seconds, history and digest."""
        return Result(
            "failed", reason, seconds=self.seconds, history=self.history, digest=self.digest
        )

    def update(self, known: Result) -> None:
        """Copy a known result, but keep this evaluation's seconds."""
        vars(self).update(vars(known), seconds=self.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that are not None, which ``Candidate`` has, too."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return {**known, "seconds": dict(self.seconds)}


def named_candidates(
    which: Iterable[int | str | Candidate] | int | str | Candidate,
) -> list[int | str | Candidate]:
    """Return one or more candidate names as a list; ids may come from a data frame.

    Raises:
        InputError: If a name has an unsupported type.
    """
    if isinstance(which, str | Integral | Candidate):
        return [which]
    if not isinstance(which, Iterable):
        raise InputError(
            f"`candidates` is of type {type(which).__name__}; allowed: an id, recommended, best, a "
            "Candidate, or several of these"
        )
    return list(which)
