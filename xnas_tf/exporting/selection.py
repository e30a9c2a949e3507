"""Which models are exported: those that the search kept, or those trained in full since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError, suggest
from xnas_tf.retraining.results import BASELINE, Retraining, Training, retrainings
from xnas_tf.storage.run import Run

LATEST = "latest"


@dataclass(frozen=True)
class ExportSelection:
    """A model to export.

    Attributes:
        name: Of its folder.
        candidate: With the figures of this model, and its file.
        config: How it was trained and measured.
        is_retrained: Whether it was trained in full after the search.
    """

    name: str
    candidate: Candidate
    config: Config
    is_retrained: bool = False


def chosen_models(
    run: Run, candidates: Sequence[int | str], retrained: str, pareto: bool = False
) -> list[ExportSelection]:
    """The models of some candidates.

    Args:
        run: The run.
        candidates: Ids, ``recommended`` or ``best``. If nobody is named and pareto is false, the
            recommended one; of a retraining all that were retrained.
        retrained: Folder of a retraining, or ``latest``; empty for the search's own models.
        pareto: Whether all Pareto-optimal ones are wanted too.

    Raises:
        InputError: If there are none, or a candidate or retraining doesn't exist.
    """
    if retrained:
        everyone = not candidates and not pareto
        wanted = [] if everyone else [c.id for c in run.choose_all(candidates, pareto)]
        return _retrained(run, wanted, _retraining(run, retrained))
    chosen = run.choose_all(candidates, pareto)
    return [ExportSelection(f"candidate-{c.id:05d}", c, run.trained_config) for c in chosen]


def _retraining(run: Run, name: str) -> Retraining:
    known = {retraining.path.name: retraining for retraining in retrainings(run)}
    if not known:
        raise InputError(f"{run.path} was not retrained yet: xnas-tf retrain {run.path}")
    if name == LATEST:
        ended = {n: max((t.finished for t in r.trainings()), default="") for n, r in known.items()}
        return known[max(ended, key=ended.__getitem__)]
    if name not in known:
        raise InputError(f"{run.path} has no retraining {suggest(name, [LATEST, *known])}")
    return known[name]


def _retrained(run: Run, wanted: Sequence[int], retraining: Retraining) -> list[ExportSelection]:
    """Of each candidate the seed with the highest validation accuracy, then the lowest loss:
    picked by test figures, these would be optimistic."""
    best: dict[int, Training] = {}
    for training in retraining.trainings():
        if training.state == "done" and training.candidate != BASELINE:
            rival = best.setdefault(training.candidate, training)
            best[training.candidate] = max(rival, training, key=_merit)
    if not best:
        raise InputError(f"{retraining.path} has no candidate whose training is done")
    for number in wanted:
        if number not in best:
            known = ", ".join(map(str, best))
            raise InputError(f"{retraining.path} has no candidate {number}; allowed: {known}")
    return [_as_chosen(run, retraining, best[number]) for number in wanted or best]


def _merit(training: Training) -> tuple[float, float]:
    return training.metrics["val_accuracy"], -training.metrics["val_loss"]


def _as_chosen(run: Run, retraining: Retraining, training: Training) -> ExportSelection:
    path = retraining.model_path(training.key, training.seed)
    if not path.is_file():
        raise InputError(f"the model of {training.title}, seed {training.seed}, is gone: {path}")
    candidate = replace(
        run.candidate(training.candidate),
        seed=training.seed,
        epochs=int(training.metrics["best_epoch"]),
        objectives=training.objectives,
        metrics=training.metrics,
        history=training.history,
        seconds=training.seconds,
        versions=training.versions,
        reason=training.reason,
        answered_by="",
        model_path=path,
    )
    return ExportSelection(training.name, candidate, retraining.config, is_retrained=True)
