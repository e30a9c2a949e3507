"""Runs a search on an engine: in this process, on a Horovod launcher's ranks, or on Ray."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from xnas_tf.config import Config, default_note, find_config, load_config
from xnas_tf.config.loading import ALLOWED
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.distributed.start import started_ranks
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import Callback, check_callbacks
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import check_resumable
from xnas_tf.utils.argument_types import LIST, PATH, TEXT, WHOLE, Kind, check_types
from xnas_tf.utils.environment import set_defaults
from xnas_tf.utils.progress import displayed, log_message

Engine = Literal["local", "horovod", "ray"]
KEY = "distributed.engine"
_GPUS = Path("/proc/driver/nvidia/gpus")
_CONFIG = Kind(
    str | os.PathLike | Config,
    f"{ALLOWED}. For images and labels in memory, or a HyperModel, see "
    "xt.Tuner(hypermodel).search(x, y)",
)


@check_types(config=_CONFIG, run_dir=PATH, overrides=LIST, address=TEXT, verbose=WHOLE)
def search(  # noqa: PLR0913 - options with defaults
    config: str | Path | Config | None = None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str] = (),
    fresh: bool = False,
    profile: bool = False,
    address: str | None = None,
    insecure: bool = False,
    callbacks: Sequence[Callback] = (),
    verbose: int = 1,
) -> Run | None:
    """Run a search, or resume an interrupted one.

    Args:
        config: A YAML file or a ``Config``. If None, ``./xnas.yaml`` is used if it exists,
            otherwise the quickstart.
        run_dir: The run directory; if None, ``runs/NAME``, named after the configuration file.
            Required with a ``Config``, because it has no name.
        overrides: Options as ``section.key=value``.
        fresh: Whether to move an existing run aside and start a new one.
        profile: Whether to profile the second candidate that rank 0 evaluates, for TensorBoard.
        address: ``HOST:PORT`` of a Ray cluster, or ``auto``; if None, RAY_ADDRESS is used.
        insecure: Whether to join a Ray cluster even without a token, although others can then run
            code on it.
        callbacks: ``Callback`` instances, which are called after those in the configuration.
        verbose: Output of rank 0: 0 for warnings only, 1 to add progress, 2 to add a line per
            epoch.

    Returns:
        The finished run; None on Horovod ranks other than 0, which only train.

    Raises:
        InputError: If any input is invalid.
        RunError: If the search cannot continue, or no candidate is on the front at its end, because
            all failed, are infeasible or violate constraints. Everything is recorded in any case.
        Interrupted: Raised after SIGINT or SIGTERM, once everything that can be saved has been
            saved.
    """
    path = Path(run_dir) if run_dir else default_run_dir(config)
    resolved = load_config(config, overrides)
    given = [*check_callbacks(resolved.callbacks), *check_callbacks(callbacks)]
    set_defaults()
    if not fresh:
        check_resumable(path, resolved)  # before any slow import, and before the data are loaded
    note = default_note() if config is None else ""  # only rank 0 shows it
    if chosen_engine(resolved.distributed, address) == "ray":
        if profile:
            raise InputError("`profile`: not available with Ray; allowed: one process")
        from xnas_tf.launcher.ray.search import search_on_ray

        address = address or os.environ.get("RAY_ADDRESS")
        with displayed(verbose):
            if note:
                log_message(note)
            search_on_ray(path, resolved, fresh, address, insecure, given)
            return _finished(path)
    from xnas_tf.execution.job import run_job
    from xnas_tf.execution.job_context import joined_ranks
    from xnas_tf.reporting.final_evaluation import search_callbacks

    with displayed(verbose):
        with joined_ranks(path, resolved) as world:
            if note:
                log_message(note)
            make_callbacks = partial(search_callbacks, more=given)
            run_job(path, resolved, world, fresh, profile, make_callbacks)
        return _finished(path) if world.rank == 0 else None


def _finished(path: Path) -> Run:
    """Return a finished run, after a warning if candidates collapsed."""
    run = Run(path)
    if collapsed := run.collapse_text():
        log_message(f"warning: {collapsed}")
    return run


def default_run_dir(config: str | Path | Config | None) -> Path:
    """Return ``runs/NAME``, named after the configuration file, or else ``runs/quickstart``.

    Raises:
        InputError: If the configuration is not a file: different ones would share a directory.
    """
    if isinstance(config, Config):
        raise InputError(
            "`run_dir`: not given, but a Config has no file after which a run could be named; "
            "allowed: a directory, such as run_dir='runs/first'"
        )
    file = find_config(config)
    return Path("runs") / (file.stem if file else "quickstart")


def chosen_engine(distributed: DistributedOptions, address: str | None = None) -> Engine:
    """Return the engine; raise an ``InputError`` if it does not fit how the process started."""
    engine = _engine(distributed, address)
    given = {"`address`": address, "distributed.groups": distributed.groups}
    for name, value in given.items():
        if value and engine != "ray":
            raise InputError(
                f"{name}: given {value}, which only the engine ray uses, but the engine of this "
                f"search is {engine}; allowed: {KEY}: ray, without a launcher"
            )
    return engine


def _engine(distributed: DistributedOptions, address: str | None) -> Engine:
    wanted = distributed.engine
    if address and wanted in ("auto", "ray"):
        return "ray"  # srun may have started the cluster, with one task per node
    is_launched = started_ranks() > 1 or "HOROVOD_RANK" in os.environ
    if wanted == "auto":
        if is_launched:
            return "horovod"
        has_cluster = "RAY_ADDRESS" in os.environ or distributed.groups
        return "ray" if has_cluster or gpus_here() > 1 else "local"
    if wanted == "horovod" and not is_launched:
        raise InputError(
            f"{KEY}: given 'horovod', but no launcher started this process: "
            "horovodrun -np RANKS xnas-tf search CONFIG (or python SCRIPT)"
        )
    if wanted != "horovod" and is_launched:
        raise InputError(
            f"{KEY}: given {wanted!r}, but horovodrun, mpirun or srun started {started_ranks()} "
            "ranks; allowed: horovod, auto, or no launcher"
        )
    return wanted


def gpus_here() -> int:
    """Return the number of NVIDIA GPUs on this machine that this process may use.

    TensorFlow is not asked, because it would reserve the GPUs.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([number for number in visible.split(",") if number.strip() not in ("", "-1")])
    return len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
