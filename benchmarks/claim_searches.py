"""The searches of docs/claim.md, and the networks selected from them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import ROOT

if TYPE_CHECKING:
    from xnas_tf.candidate import Candidate
    from xnas_tf.storage.run import Run

ARMS = {
    "error": ["objectives=[error]"],
    "activations": ["objectives=[error, {name: introspectability, sources: [activations]}]"],
    "attributions": [
        "objectives=[error, {name: introspectability, sources: [grad_cam, integrated_gradients]}]"
    ],
    "consistency": ["objectives=[error, consistency]"],
    "random": ["objectives=[error]", "search.algorithm=random"],
}
CONTROLS = ("error", "random")
CANDIDATES = 48
SETTINGS = (
    f"search.candidates={CANDIDATES}",
    "search.population=8",
    "distributed.threads_per_rank=1",
)
DATA = ("digits", "mnist5k", "shapes", "cifar10")
SEEDS = range(5)
NETWORKS = 4
"""Number of networks selected from each search."""
WORSE = 0.1
"""Largest error of a selected network, above the lowest error of its search."""


@dataclass(frozen=True)
class Setting:
    """A data set and how networks are trained on it.

    Attributes:
        name: The name in ``DATA``.
        changes: Changes to the quickstart's configuration, as ``key=value``.
    """

    name: str
    changes: tuple[str, ...]


def setting(name: str, cifar10: Path | None) -> Setting:
    """Return a data set's setting; ``cifar10`` is the file of the sample."""
    if name != "cifar10":
        return Setting(name, (f"dataset={name}",))
    if cifar10 is None:
        raise SystemExit("cifar10 needs its file: --cifar10 FILE.npz")
    return Setting(name, (f"dataset=npz:{cifar10.resolve()}", "training.epochs=12"))


def run_search(folder: Path, data: Setting, arm: str, seed: int) -> None:
    """Run or resume one search, in a process with one thread."""
    changes = [*data.changes, *ARMS[arm], *SETTINGS, f"search.seed={seed}"]
    options = [word for text in changes for word in ("--set", text)]
    run = run_directory(folder, data.name, arm, seed)
    command = [sys.executable, "-m", "xnas_tf", "search", "configs/quickstart.yaml"]
    threads = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    subprocess.run(
        [*command, "--run-dir", str(run), "--quiet", *options],
        cwd=ROOT,
        env={**os.environ, **threads},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def run_directory(folder: Path, data: str, arm: str, seed: int) -> Path:
    """Return where a search is stored."""
    return folder / data / f"{arm}-{seed}"


def selected(run: Run, arm: str) -> list[Candidate]:
    """Return the networks of a search that are trained again, in the order of their errors.

    Arms with two objectives give members of the Pareto front, at equal distances in the order of
    error. Controls give the candidates with the lowest errors.
    """
    done = [candidate for candidate in run.candidates() if candidate.state == "done"]
    highest = min(candidate.objectives["error"] for candidate in done) + WORSE
    pool = done if arm in CONTROLS else run.pareto()
    able = [each for each in pool if not each.collapsed and each.objectives["error"] <= highest]
    able.sort(key=lambda each: (each.objectives["error"], each.id))
    return able[:NETWORKS] if arm in CONTROLS else spread(able, NETWORKS)


def spread(members: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return ``count`` members at equal distances, with the first and the last, or all."""
    if len(members) <= count:
        return list(members)
    return [members[i] for i in np.linspace(0, len(members) - 1, count).round().astype(int)]
