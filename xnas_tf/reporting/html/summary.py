"""Writes the summary of a report: the data, the budget and the best accuracy, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.execution.stopping import SPENT
from xnas_tf.registry import OBJECT
from xnas_tf.reporting.search_progress import duration
from xnas_tf.spaces.options import SpaceOptions
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import now
from xnas_tf.storage.snapshot import Snapshot
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.number_format import counted, percent_range, percent_text
from xnas_tf.version import __version__

_SPLITS = {"train": "training"}
"""Names of the splits for use in sentences."""

Facts = list[tuple[str, str]]
"""Pairs of a fact's name and its text."""


def made_text() -> str:
    """Return the time of the report and the version of xnas-tf that wrote it."""
    return f"Written {now()[:16].replace('T', ' ')} UTC by xnas-tf {__version__}"


def run_facts(run: Run, found: Snapshot, status: Mapping[str, Any]) -> Facts:
    """Return the data, the budget and the best accuracy of a run, given its ``run_status``."""
    front, images = found.front, sum(run.validation_counts or ())
    with_result = f"{counted(len(found.comparable), 'candidate')} with a result"
    facts = [
        ("data", data_text(run.config.dataset.name, run.fact("dataset") or {})),
        ("search space", _space_text(run.config.space)),
        ("budget", _budget_text(run, status)),
        ("front", f"{len(front)} Pareto-optimal of {with_result}"),
        ("best validation accuracy", best_accuracy_text(front, images)),
    ]
    return [(name, text) for name, text in facts if text]


def data_text(name: str, facts: Mapping[str, Any]) -> str:
    """Return a data set's name and size as text, given ``Dataset.facts``, which may be empty."""
    if not facts:
        return name
    height, width, _ = facts["image_shape"]
    counts = ", ".join(
        f"{count:,} {_SPLITS.get(split, split)}" for split, count in facts["images"].items()
    )
    classes = len(facts["class_names"])
    return f"{name}: {classes} classes, {counts} images of {size_text(height, width)} pixels"


def best_accuracy_text(front: Sequence[Candidate], images: int) -> str:
    """Return the highest validation accuracy of a front, with its 95% interval if known.

    Collapsed candidates count only if there are no others, and are marked.
    """
    known = [c for c in front if "val_accuracy" in c.metrics]
    if not known:
        return ""
    best = max(known, key=lambda c: (not c.collapsed, c.metrics["val_accuracy"]))
    accuracy = best.metrics["val_accuracy"]
    interval = accuracy_interval(accuracy * images, images)
    within = f" (95% interval {percent_range(interval[0], interval[2])})" if interval else ""
    collapsed = ", which collapsed" if best.collapsed else ""
    return f"{percent_text(accuracy)}{within}, candidate {best.id}{collapsed}"


def _space_text(space: SpaceOptions) -> str:
    return f"{space.name} {getattr(space, 'hypermodel', '').removeprefix(OBJECT)}".rstrip()


def _budget_text(run: Run, status: Mapping[str, Any]) -> str:
    trained = status["done"] + status["failed"] - status["reused"]
    spent = run.fact(SPENT)
    took = f", {duration(spent)} of searching" if spent else ""
    *shorter, longest = run.config.rungs
    unit = " or ".join([*map(str, shorter), counted(longest, "epoch")])
    state = "searching" if status["searching"] else "finished" if status["ended"] else "stopped"
    wanted = counted(status["wanted"], "training")
    return f"{trained} of {wanted} of {unit}{took}; {state}"
