"""Derives the settings of a retraining from a run and the user's changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config, load_config
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError, suggest
from xnas_tf.retraining.results import FOLDER, Retraining
from xnas_tf.storage.run import Run
from xnas_tf.strategy.options import SearchOptions

TIMES = 10
"""The default number of epochs, as a multiple of the search's number. Published multiples are 17
(NAS-Bench-201: 12 and 200 epochs) and 12 (DARTS: 50 and 600)."""
PATIENCE_SHARE, LEAST_PATIENCE = 3, 5
"""The default patience is a third of the epochs, because a network may not improve for a while as
long as the learning rate of a cosine schedule is still high."""
GROUPING = {"engine", "groups", "ranks_per_candidate"}
"""Options of ``distributed`` that only a search has: all ranks of a job retrain one model at a
time."""
CHANGEABLE = ("distributed", "objectives", "record", "space", "training")
"""Sections that may be changed. The data cannot be changed, because with another split, images of
the search could become test images."""


@dataclass(frozen=True)
class RetrainingOptions:
    """The settings of a retraining.

    Attributes:
        config: The run's configuration with the user's changes, but without the ``search`` and
            ``constraints`` sections.
        patience: Number of epochs without improvement after which training ends.
    """

    config: Config
    patience: int

    @property
    def facts(self) -> list[Any]:
        """The settings that results depend on, as JSON values."""
        config = self.config.model_dump(mode="json", exclude={"search", "distributed"})
        del config["training"]["checkpoint_minutes"]
        return [config, self.patience]

    @property
    def key(self) -> str:
        """The name of a new folder for these settings."""
        digest = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()
        return f"{self.config.training.epochs}-epochs-{digest[:8]}"

    def folder(self, run: Run) -> Path:
        """Return the folder of a run's retraining with these settings, or of a new one.

        Known folders are compared by their settings, because an earlier version may have had fewer
        settings, and so another ``key``.
        """
        path = run.path / FOLDER / self.key
        for folder in () if path.exists() else sorted(path.parent.glob("*-epochs-*")):
            with suppress(InputError):  # another one, which cannot be read
                known = Retraining(folder)
                if RetrainingOptions(known.config, known.patience).facts == self.facts:
                    return folder
        return path


def resolve(
    run: Run, epochs: int | None, patience: int | None, overrides: Iterable[str]
) -> RetrainingOptions:
    """Return the settings of a retraining.

    Args:
        run: The run.
        epochs: Maximum number of training epochs. If None, the number set by an override; without
            an override, ``TIMES`` times the number in the search.
        patience: See ``RetrainingOptions``; if None, a share of the epochs.
        overrides: Options as ``section.key=value``.

    Raises:
        InputError: If an argument is invalid or does not apply to a retraining.
    """
    overrides = list(overrides)
    for text in overrides:
        name = text.partition("=")[0].partition(".")[0]
        if name not in CHANGEABLE:
            raise InputError(
                f"`overrides` {text!r}: a retraining has no section {suggest(name, CHANGEABLE)}"
            )
    for option, given in (("`epochs`", epochs), ("`patience`", patience)):
        if given is not None and given < 1:
            raise InputError(f"{option} {given}: allowed: 1 or more")
    config = load_config(_base_config(run), overrides)
    if config.space.name != run.config.space.name:
        raise InputError(
            f"`overrides` space.name={config.space.name}: the candidates of {run.path} are from "
            f"{run.config.space.name}; allowed: other options of that space"
        )
    changed = config.distributed.model_dump(include=GROUPING, exclude_defaults=True)
    if changed:
        listed = ", ".join(f"distributed.{key}={value}" for key, value in changed.items())
        raise InputError(
            f"`overrides` {listed}: only for a search; to retrain each model on several ranks, "
            "start the command with horovodrun -np RANKS"
        )
    if epochs is not None:
        config = load_config(config, [f"training.epochs={epochs}"])
    if config.training.keep != "best":
        raise InputError(
            f"training.keep: given {config.training.keep!r}; allowed: 'best', because a retraining "
            "ends when the model no longer improves"
        )
    default = max(LEAST_PATIENCE, config.training.epochs // PATIENCE_SHARE)
    return RetrainingOptions(config, int(patience or default))  # JSON has no NumPy numbers


def chosen_candidates(
    run: Run, named: Sequence[int | str | Candidate] | int | str | Candidate, pareto: bool
) -> list[Candidate]:
    """Return the named and, if ``pareto``, the Pareto-optimal candidates; see ``Run.choose_all``.

    Raises:
        InputError: If a candidate does not exist, or was not trained.
    """
    chosen = run.choose_all(named, pareto)
    for candidate in chosen:
        if candidate.state != "done":
            done = [str(c.id) for c in run.candidates() if c.state == "done"]
            allowed = f"{', '.join(done[:20])}{', …' if len(done) > 20 else ''}" or "none yet"
            raise InputError(
                f"`candidate` {candidate.id}: its state in {run.path} is {candidate.state}; "
                f"allowed: candidates that are done, {allowed}"
            )
    return chosen


def _base_config(run: Run) -> Config:
    """Return the run's configuration without the options that only a search needs.

    Constraints meant for small networks would reject large ones, and rungs would override the
    number of epochs. A search on Ray may have had groups of ranks. The best epoch is always kept. A
    retraining has its own early stopping, so the Keras callbacks of the search are left out.
    """
    training = run.config.training
    distributed = run.config.distributed.model_dump(exclude=GROUPING)
    return run.config.model_copy(
        update={
            "distributed": DistributedOptions(**distributed),
            "search": SearchOptions(),
            "constraints": {},
            "record_at": {},
            "test": "front",
            "training": training.model_copy(
                update={"epochs": TIMES * training.epochs, "keep": "best", "callbacks": []}
            ),
        }
    )
