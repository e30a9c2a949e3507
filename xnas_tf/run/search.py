"""A search from configuration to finished run, on one process or on all ranks of a job."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xnas_tf.config import Config, find_config, load_config
from xnas_tf.environment import set_defaults
from xnas_tf.run.directory import Run


def search(
    config: str | Path | Config | None = None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str] = (),
    fresh: bool = False,
    profile: bool = False,
) -> Run | None:
    """Runs a search, or goes on with one that was interrupted.

    Args:
        config: A YAML file or a ``Config``; None takes ``./xnas.yaml``, else the quickstart.
        run_dir: The run directory; ``runs/NAME`` after the configuration file if None.
        overrides: Texts ``section.key=value``.
        fresh: Moves an existing run aside and starts anew.
        profile: Profiles the second candidate that rank 0 evaluates, for TensorBoard.

    Returns:
        The finished run; None on ranks other than 0 of a Horovod job, which only train.

    Raises:
        InputError: If anything given is wrong.
        RunError: If the search cannot go on, or no candidate finished.
        Interrupted: After SIGINT or SIGTERM; what could be saved is saved.
    """
    path = Path(run_dir) if run_dir else default_run_dir(config)
    resolved = load_config(config, overrides)
    set_defaults()
    from xnas_tf.run.job import Job
    from xnas_tf.run.joining import joined_to_train

    with joined_to_train(path, resolved) as world:
        Job(path, resolved, world, profile).run(fresh)
    return Run(path) if world.rank == 0 else None


def default_run_dir(config: str | Path | Config | None) -> Path:
    """``runs/NAME`` after the configuration file, ``runs/quickstart`` without one."""
    file = None if isinstance(config, Config) else find_config(config)
    return Path("runs") / (file.stem if file else "quickstart")
