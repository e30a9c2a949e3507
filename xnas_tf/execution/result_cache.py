"""Results of networks that were trained before, in this run or in earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import Config, differences
from xnas_tf.errors import InputError
from xnas_tf.execution.code_changes import CODE, measuring_hashes
from xnas_tf.storage.run import Run
from xnas_tf.utils.source_code import changed_files

FLIPS = "flips"
"""Name of the fact whether training images are flipped; runs of earlier versions lack it."""
_TESTED = ("test_accuracy", "test_error")
"""Metrics of the Pareto-optimal candidates alone, which are added when a search has ended, unless
all candidates are tested (``test: all``)."""


class ResultCache:
    """Results of networks that were trained before, for the same number of epochs.

    A candidate whose network was trained in this run is a duplicate. Results of ``earlier`` runs
    are reused, along with the model if the candidate is Pareto-optimal. If that model was not
    saved, the network is trained again, since each candidate on the front has a model. Results that
    lack the value of a measure with a constraint (``limited``) are not reused: an earlier run that
    only recorded the measure may have no value for it.
    """

    def __init__(self, earlier: Iterable[Run] = (), limited: Collection[str] = ()) -> None:
        self._limited = limited
        self._own: dict[tuple[str, int], int] = {}
        self._earlier: dict[tuple[str, int], list[tuple[Path, Candidate]]] = {}
        for run in earlier:
            for candidate in run.candidates():
                if candidate.state == "done":
                    known = run.path, candidate
                    self._earlier.setdefault(_key(candidate), []).append(known)

    def update(self, candidate: Candidate) -> None:
        """Add a candidate of this run that has finished."""
        if candidate.state == "done":
            self._own.setdefault(_key(candidate), candidate.id)

    def answer(
        self,
        candidate: Candidate,
        result: Result,
        wants: Callable[[Candidate], bool],
        keep: Callable[[bytes], None],
    ) -> Result | None:
        """Return the known result of a candidate's network; None if unknown.

        ``result`` has the digest and the costs of the network, ``wants`` returns whether a
        candidate would be on the front, and ``keep`` saves the model of the candidate.
        """
        network = result.digest, candidate.epochs
        if number := self._own.get(network):
            reason = f"the same network as candidate {number}"
            return replace(result, state="duplicate", reason=reason)
        for path, known in self._earlier.get(network, ()):
            reused = _reused(result, known, path)
            if not {*self._limited} <= {*reused.objectives, *reused.metrics}:
                continue
            if not wants(candidate.with_result(reused)):
                return reused
            if model := _saved_model(known):
                keep(model)
                return reused
        return None


def _key(candidate: Candidate) -> tuple[str, int]:
    return candidate.digest, candidate.epochs


def _reused(result: Result, known: Candidate, path: Path) -> Result:
    """Return an earlier result with the costs of this run, as latency depends on the machine."""
    are_all_tested = "test_loss" in known.metrics
    metrics = {n: v for n, v in known.metrics.items() if are_all_tested or n not in _TESTED}
    return replace(
        result,
        state="done",
        reason=known.reason,
        objectives={**known.objectives, **result.objectives},
        metrics={**metrics, **result.metrics},
        history=known.history,
        reused_from=f"candidate {known.id} of {path}",
        seed=known.seed,
        versions=known.versions,
    )


def _saved_model(known: Candidate) -> bytes | None:
    try:
        return known.model_path.read_bytes() if known.model_path else None
    except FileNotFoundError:  # it has been removed
        return None


def earlier_runs(
    config: Config, path: Path, data: dict[str, Any], flips: bool = False
) -> list[Run]:
    """Open the runs listed in ``search.reuse``, for the run with this configuration and path.

    ``data`` is its ``Dataset.facts``, and ``flips`` says whether its training images are flipped.

    Raises:
        InputError: If a path does not contain a run or contains this same run, or if the results
            are not comparable because the data, the training or the metrics differ.
    """
    return [_open_run(Path(name), config, path, data, flips) for name in config.search.reuse]


def _open_run(earlier: Path, config: Config, path: Path, data: dict[str, Any], flips: bool) -> Run:
    if earlier.resolve() == path.resolve():
        raise InputError(
            f"search.reuse: {earlier} is this run, whose own results are always reused"
        )
    try:
        run = Run(earlier)
        there = {**_settings(run.config), "images": run.fact("dataset") or data}
    except InputError as error:
        raise InputError(f"search.reuse: {error}") from error
    lines = differences(there, {**_settings(config), "images": data}, "there, here")
    if run.fact(FLIPS) not in (None, flips):
        lines.append(f"random flips: {not flips} there, here {flips}")
    lines += _not_measured(config, run.config)
    changed = changed_files(run.fact(CODE), measuring_hashes(config))
    lines += [
        f"{file} has changed: the measures or Keras callbacks depend on it" for file in changed
    ]
    if lines:
        listed = "\n  ".join(lines)
        raise InputError(f"search.reuse: the results of {earlier} are not comparable:\n  {listed}")
    return run


def _settings(config: Config) -> dict[str, Any]:
    return {
        "dataset": config.dataset.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json", exclude={"checkpoint_minutes"}),
        "objectives": {o.name: o.model_dump(mode="json") for o in config.objectives},
        "rungs": config.rungs,
    }


def _not_measured(config: Config, there: Config) -> list[str]:
    """Return the metrics for which the earlier run has no comparable values, with the reasons.

    Costs are left out because they are always measured again, and objectives because all their
    options are compared.
    """
    measured = {measure.name: measure for measure in there.measures()}
    objectives = {measure.name for measure in config.objectives}
    recorded = {measure.name for measure in config.record}
    missing = [
        f"record_at.{epoch}: other measures there"
        for epoch, measures in config.record_at.items()
        if there.record_at.get(epoch) != measures
    ]
    if config.test == "all" != there.test:
        missing.append("test: only the Pareto-optimal candidates were tested there")
    for measure in config.measures():
        if not measure.needs_training or measure.name in objectives:
            continue
        section = "record" if measure.name in recorded else "constraints"
        if measure.name not in measured:
            missing.append(f"{section}.{measure.name}: not measured there")
        elif measured[measure.name] != measure:
            missing.append(f"{section}.{measure.name}: measured with other options there")
    return missing
