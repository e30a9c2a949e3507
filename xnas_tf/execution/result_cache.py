"""What is known of a network without training it: from this run, or from earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config, differences
from xnas_tf.errors import InputError
from xnas_tf.storage.run import Run

_TESTED = ("test_accuracy", "test_error")
"""Metrics that a search adds when it has ended."""


class ResultCache:
    """Answers for networks that were trained before, for as many epochs.

    One of this run makes another candidate of the same network a duplicate. The results of one
    of an earlier run are taken over. If they are Pareto-optimal, so is its model: where none
    was kept, the network is trained again, as each candidate on the front has a model.

    Args:
        earlier: The earlier runs, those to be asked first before others.
    """

    def __init__(self, earlier: Iterable[Run] = ()) -> None:
        self._here: dict[tuple[str, int], int] = {}
        self._earlier: dict[tuple[str, int], list[tuple[Path, Candidate]]] = {}
        for run in earlier:
            for candidate in run.candidates():
                if candidate.state == "done":
                    found = run.path, replace(candidate, versions={})
                    self._earlier.setdefault(_key(candidate), []).append(found)

    def heed(self, candidate: Candidate) -> None:
        """Hears of a candidate of this run that has ended."""
        if candidate.state == "done":
            self._here.setdefault(_key(candidate), candidate.id)

    def answer(
        self,
        candidate: Candidate,
        wants: Callable[[Candidate], bool],
        keep: Callable[[bytes], None],
    ) -> dict[str, Any] | None:
        """What is known of a candidate's network, as fields of its outcome; None if nothing is.

        Args:
            candidate: With its digest, its epochs and its costs.
            wants: Whether a candidate would be on the front.
            keep: Keeps the candidate's model.
        """
        if number := self._here.get(_key(candidate)):
            return {"state": "duplicate", "reason": f"the same network as candidate {number}"}
        for path, known in self._earlier.get(_key(candidate), ()):
            answer = _taken_over(candidate, known, path)
            if not wants(replace(candidate, **answer)):
                return answer
            if model := _model(known):
                keep(model)
                return answer
        return None


def _key(candidate: Candidate) -> tuple[str, int]:
    return candidate.digest, candidate.epochs


def _taken_over(candidate: Candidate, known: Candidate, path: Path) -> dict[str, Any]:
    """Costs stay as they were measured here: latency may have been another machine's there."""
    metrics = {name: value for name, value in known.metrics.items() if name not in _TESTED}
    return {
        "state": "done",
        "reason": known.reason,
        "objectives": {**known.objectives, **candidate.objectives},
        "metrics": {**metrics, **candidate.metrics},
        "history": known.history,
        "answered_by": f"candidate {known.id} of {path}",
    }


def _model(known: Candidate) -> bytes | None:
    """The content of the kept model; None if there is none."""
    try:
        return known.model_path.read_bytes() if known.model_path else None
    except FileNotFoundError:  # removed since
        return None


def earlier_runs(config: Config, path: Path, data: dict[str, Any]) -> list[Run]:
    """Opens the runs of ``search.reuse``; they are only read.

    Args:
        config: The configuration.
        path: The directory of the run that is to use them.
        data: What ``Dataset.facts`` says of its data.

    Raises:
        InputError: If one is no run, is that run itself, or has results that mean something
            else: other data, another training or other measures.
    """
    return [_opened(Path(name), config, path, data) for name in config.search.reuse]


def _opened(earlier: Path, config: Config, path: Path, data: dict[str, Any]) -> Run:
    if earlier.resolve() == path.resolve():
        raise InputError(f"search.reuse: {earlier} is the run itself, which does so anyway")
    try:
        run = Run(earlier)
        there = {**_settings(run.trained_config), "images": run.fact("dataset") or data}
    except InputError as error:
        raise InputError(f"search.reuse: {error}") from error
    lines = differences(there, {**_settings(config), "images": data}, "there, here")
    lines += _not_measured(config, run.config)
    if lines:
        listed = "\n  ".join(lines)
        raise InputError(f"search.reuse: the results of {earlier} mean something else:\n  {listed}")
    return run


def _settings(config: Config) -> dict[str, Any]:
    """What a network's results depend on, beside the network and the images."""
    return {
        "dataset": config.dataset.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json", exclude={"checkpoint_minutes"}),
        "objectives": {o.name: o.model_dump(mode="json") for o in config.objectives},
        "rungs": config.rungs,
    }


def _not_measured(config: Config, there: Config) -> list[str]:
    """What limits need or this run records that was not measured there, or otherwise; costs are
    known before they are needed."""
    known = {measure.name: measure for measure in there.measures()}
    recorded = {measure.name for measure in config.record}
    missing = []
    for measure in config.measures():
        section = "record" if measure.name in recorded else "constraints"
        if measure.needs_training and measure.name not in known:
            missing.append(f"{section}.{measure.name}: not measured there")
        elif measure.name in recorded and known.get(measure.name, measure) != measure:
            missing.append(f"{section}.{measure.name}: measured with other options there")
    return missing
