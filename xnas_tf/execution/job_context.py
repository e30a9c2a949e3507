"""Joins the ranks of a command that trains and writes files, then restores the process."""

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
from xnas_tf.utils.randomness import kept_generators


@contextmanager
def joined_ranks(path: Path, config: Config) -> Iterator[Communicator]:
    """Join the ranks of the job inside the context, and yield them; see ``writing_to``."""
    deterministic, branches = config.training.deterministic, config.space.branches
    with (
        writing_to(path),
        kept_generators(),
        joined(config.distributed, deterministic, branches) as world,
        kept_arithmetic(),
    ):
        yield world


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn disk errors inside the context into a ``RunError`` that names the directory."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise RunError(
            f"{path} cannot be written: {describe(error)}. All finished work is kept; run the same "
            "command again to resume"
        ) from error
    finally:
        gc.unfreeze()  # objects that an evaluator froze may belong to a notebook
