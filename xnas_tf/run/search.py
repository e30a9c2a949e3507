"""A search from configuration to finished run, on one process or on all ranks of a job."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from xnas_tf.config import Config, find_config, load_config
from xnas_tf.environment import set_defaults
from xnas_tf.errors import InputError, RunError
from xnas_tf.registry import describe
from xnas_tf.run.directory import Run, locked, open_directory


def search(
    config: str | Path | Config | None = None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str] = (),
    fresh: bool = False,
) -> Run | None:
    """Runs a search, or goes on with one that was interrupted.

    Args:
        config: A YAML file or a ``Config``; None takes ``./xnas.yaml``, else the quickstart.
        run_dir: The run directory; ``runs/NAME`` after the configuration file if None.
        overrides: Texts ``section.key=value``.
        fresh: Moves an existing run aside and starts anew.

    Returns:
        The finished run; None on ranks other than 0 of a Horovod job, which only train.

    Raises:
        InputError: If anything given is wrong.
        RunError: If the search cannot go on, or no candidate finished.
    """
    path = Path(run_dir) if run_dir else default_run_dir(config)
    resolved = load_config(config, overrides)
    set_defaults()
    import xnas_tf.distributed

    communicator = xnas_tf.distributed.start(resolved.distributed, resolved.training.deterministic)
    evaluator, dataset, space = _prepare(resolved, communicator)
    if communicator.rank != 0:
        _serve(evaluator, communicator)
        return None
    record = open_directory(path, resolved, fresh)
    try:
        with locked(path):
            from xnas_tf.run.conductor import Conductor

            Conductor(path, resolved, record, dataset, space, evaluator, communicator).run()
    finally:
        record.close()
        gc.unfreeze()  # what the evaluator froze may be a notebook's
    return Run(path)


def default_run_dir(config: str | Path | Config | None) -> Path:
    """``runs/NAME`` after the configuration file, ``runs/quickstart`` without one."""
    file = None if isinstance(config, Config) else find_config(config)
    return Path("runs") / (file.stem if file else "quickstart")


def _prepare(config: Config, communicator):
    """Loads the data and the space, and checks what the configuration alone can't show."""
    from xnas_tf.data import load_dataset
    from xnas_tf.evaluation.evaluator import Evaluator
    from xnas_tf.spaces.space import SearchSpace

    dataset = _load_in_turn(lambda: load_dataset(**config.dataset.model_dump()), communicator)
    hypermodel = config.space.create(dataset.image_shape, dataset.classes)
    space = SearchSpace(hypermodel, dataset.image_shape, dataset.classes)
    if config.search.population > space.size:
        raise InputError(
            f"search.population: given {config.search.population}, but the space has only "
            f"{space.size:.0f} architectures"
        )
    smallest = min(config.training.batch_size, len(dataset.train), len(dataset.validation))
    if smallest < communicator.size:
        raise InputError(
            f"on {communicator.size} ranks training.batch_size ({config.training.batch_size}), "
            f"the train part ({len(dataset.train)} images) and the validation part "
            f"({len(dataset.validation)}) must have at least one image a rank"
        )
    evaluator = _agreed(lambda: Evaluator(config, dataset, space, communicator), communicator)
    return evaluator, dataset, space


def _load_in_turn(load, communicator):
    """Lets one rank of each host load first, so that only it downloads; all fail together."""
    loaded = None
    for first in (True, False):
        mine = (communicator.local_rank == 0) == first
        loaded = _agreed(load if mine else lambda: None, communicator) or loaded
    return loaded


def _agreed(work, communicator):
    """What a piece of work returns; where it fails on one rank it fails on all, so that none
    is left waiting."""
    result = failure = None
    try:
        result = work()
    except Exception as error:  # every rank must reach the sum below
        failure = error
    (failed,) = communicator.sum(np.array(failure is not None, np.int64))
    if failed:
        raise failure or InputError("another rank could not be prepared; it says why")
    return result


def _serve(evaluator, communicator) -> None:
    """Trains what rank 0 says until it says that there is no more."""
    from xnas_tf.candidate import Candidate

    while (task := _next_task(communicator)) is not None:
        evaluator.evaluate(Candidate(**task))


def _next_task(communicator):
    try:
        return communicator.broadcast()
    except Exception as error:  # Horovod's own class exists only where Horovod does
        raise RunError(f"rank 0 is gone: {describe(error)}") from error
