"""All ranks of a command that trains and writes: they join, and leave the process as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from xnas_tf.config import Config
from xnas_tf.distributed import Communicator, joined
from xnas_tf.errors import RunError
from xnas_tf.keras_tools.tracing import kept_arithmetic
from xnas_tf.registry import describe


@contextmanager
def joined_to_train(path: Path, config: Config) -> Iterator[Communicator]:
    """Inside, the ranks of the job are joined.

    Args:
        path: The folder that is written to.
        config: How to join, whether to the same result each time, and for what networks.

    Raises:
        RunError: If something cannot be written.
    """
    deterministic, branches = config.training.deterministic, config.space.branches
    with (
        writing_to(path),
        joined(config.distributed, deterministic, branches) as world,
        kept_arithmetic(),
    ):
        yield world


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Inside, a full disk is said to be one.

    Raises:
        RunError: If something cannot be written.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise RunError(
            f"{path} cannot be written: {describe(error)}. What was finished is kept; the same "
            "command goes on from there"
        ) from error
    finally:
        gc.unfreeze()  # what an evaluator froze may be a notebook's
