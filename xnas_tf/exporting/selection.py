"""Selects the models to export, from the search or a retraining, and the code that they need."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xnas_tf.candidate import Candidate, named_candidates
from xnas_tf.config import Config
from xnas_tf.errors import InputError, suggest
from xnas_tf.retraining.results import BASELINE, Retraining, Training, retrainings
from xnas_tf.storage.run import Run
from xnas_tf.storage.tested_models import candidate_name
from xnas_tf.utils.source_code import MAIN, changes_text, copyable_file, source_hashes

LATEST = "latest"


@dataclass(frozen=True)
class ExportSelection:
    """A model to export, and its folder's name.

    The candidate holds this model's metrics and file, even if the model comes from a retraining.
    ``code`` contains the recorded hashes of the code with which it was trained.
    """

    name: str
    candidate: Candidate
    config: Config
    code: dict[str, str] | None = None
    is_retrained: bool = False

    def changed_code(self, now: dict[str, str]) -> str:
        """Say which files have changed since the training; empty if none has."""
        return changes_text(self.code, now, "retraining" if self.is_retrained else "search")

    @property
    def model_path(self) -> Path:
        """The file from which the model was loaded."""
        path = self.candidate.model_path
        assert path is not None  # otherwise Candidate.load_model would have failed
        return path


def export_folders(
    run: Run, chosen: Sequence[ExportSelection], out: str | Path | None
) -> list[Path]:
    """Return the folder for each model to export, without slow imports.

    Raises:
        InputError: If any of the folders already exists.
    """
    base = Path(out) if out else run.path / "exports"
    folders = [base / each.name for each in chosen]
    if taken := [str(folder) for folder in folders if folder.exists()]:
        raise InputError(
            f"nothing was exported, as these already exist: {', '.join(taken)}. Choose another "
            f"folder with `out`, or remove {'them' if len(taken) > 1 else 'it'}"
        )
    return folders


def chosen_models(
    run: Run,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate,
    retrained: str,
    pareto: bool = False,
) -> list[ExportSelection]:
    """Return the models selected by the arguments of ``export``.

    Raises:
        InputError: If no models are selected, or a candidate or a retrained model does not exist.
    """
    named = named_candidates(candidates)
    takes_all = retrained and not named and not pareto
    chosen = [] if takes_all else run.choose_all(named, pareto)
    if retrained:
        return _retrained(run, [c.id for c in chosen], _retraining(run, retrained))
    code = run.fact("code")
    return [ExportSelection(candidate_name(c.id), c, run.config, code) for c in chosen]


def _retraining(run: Run, name: str) -> Retraining:
    known = {retraining.path.name: retraining for retraining in retrainings(run)}
    if not known:
        raise InputError(
            f"{run.path} has not been retrained yet: xnas-tf retrain {shlex.quote(str(run.path))} "
            "(in Python: xt.retrain(run))"
        )
    if name == LATEST:
        ended = {n: max((t.finished for t in r.trainings()), default="") for n, r in known.items()}
        return known[max(ended, key=ended.__getitem__)]
    if name not in known:
        raise InputError(f"{run.path} has no retraining {suggest(name, [LATEST, *known])}")
    return known[name]


def _retrained(run: Run, wanted: Sequence[int], retraining: Retraining) -> list[ExportSelection]:
    """Return each candidate's best model, by highest validation accuracy, then lowest loss.

    The test split is not used for this choice, because the test metrics would then be optimistic.
    """
    best = {
        network.candidate: max(
            network.trainings, key=lambda t: (t.metrics["val_accuracy"], -t.metrics["val_loss"])
        )
        for network in retraining.models()
        if network.candidate != BASELINE
    }
    if not best:
        raise InputError(f"{retraining.path} has no candidate with a finished training")
    for number in wanted:
        if number not in best:
            known = ", ".join(map(str, best))
            raise InputError(f"{retraining.path} has no candidate {number}; allowed: {known}")
    return [_selection_of(run, retraining, best[number]) for number in wanted or best]


def _selection_of(run: Run, retraining: Retraining, training: Training) -> ExportSelection:
    path = retraining.model_path(training.key, training.seed)
    if not path.is_file():
        raise InputError(f"the model of {training.title}, seed {training.seed}, is missing: {path}")
    candidate = replace(
        run.candidate(training.candidate),
        seed=training.seed,
        objectives=training.objectives,
        metrics=training.metrics,
        history=training.history,
        seconds=training.seconds,
        versions=training.versions,
        reason=training.reason,
        reused_from="",
        model_path=path,
        module=retraining.config.space.hypermodel_module,
    )
    code = retraining.code or run.fact("code")
    return ExportSelection(training.name, candidate, retraining.config, code, is_retrained=True)


@dataclass(frozen=True)
class OwnCode:
    """The user's code that a Keras file needs: a file to copy, or the ``problem`` of copying it.

    The other local modules and packages that it ``needs`` are never copied, as they could contain
    anything. ``has_changed`` says whether the problem is that the code is not that of the training.
    """

    file: Path | None = None
    needs: tuple[str, ...] = ()
    problem: str = ""
    has_changed: bool = False


def own_code(chosen: ExportSelection) -> OwnCode:
    """Return the file of the HyperModel's module, unless the code has changed since the training.

    The code includes the local modules that this module imports.
    """
    module = chosen.candidate.module
    hashes = source_hashes([], [module])
    if changes := chosen.changed_code(hashes):
        return OwnCode(problem=changes, has_changed=True)
    packages = {name.partition(".")[0] for name in hashes}
    needs = tuple(sorted(packages - {module.partition(".")[0]}))
    file = copyable_file(module)
    if file is None:
        is_script = module in ("", MAIN)
        return OwnCode(None, needs, "" if is_script else f"{module} is in a package or installed")
    return OwnCode(file, needs)
