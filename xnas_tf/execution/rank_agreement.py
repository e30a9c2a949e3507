"""Checks that the ranks of a job agree: versions, configuration, code, images and model."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset
from xnas_tf.distributed import Communicator
from xnas_tf.errors import InputError, RunError
from xnas_tf.execution.code_changes import shared_hashes
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.utils.source_code import changed_files
from xnas_tf.utils.versions import versions

if TYPE_CHECKING:
    import keras

T = TypeVar("T")
SAME_FILES = "make sure that the files are the same on all hosts"


def on_all_ranks(work: Callable[[], T], world: Communicator) -> T:
    """Call a function on all ranks. If one rank fails, all fail, so no rank keeps waiting.

    Returns the function's return value on this rank.

    Raises:
        InputError: On the other ranks, if the input of one rank is invalid.
        RunError: On the other ranks, if one rank failed for another reason, such as a full disk.
            Exit code 2 would be wrong here, because a restart may succeed.
        Exception: The function's exception, on the ranks where the function raised one.
    """
    results: list[T] = []
    failure: Exception | None = None
    try:
        results.append(work())
    except Exception as error:  # noqa: BLE001 - every rank must reach the sum below
        failure = error
    except SystemExit as error:  # in a user's module: the search would seem to have succeeded
        failure = InputError(f"a user's code calls sys.exit({error.code!r}) when it is loaded")
    kinds = [failure is not None, isinstance(failure, InputError)]
    failed, refused = world.sum(*(np.array(kind, np.int64) for kind in kinds))
    if failed:
        kind = InputError if refused else RunError
        raise failure or kind("another rank could not be prepared; see its message")
    return results[0]


def check_same_settings(config: Config, world: Communicator) -> None:
    """Raise an ``InputError`` on all ranks if any has other versions or another configuration."""
    mine = {"versions": versions(), "config": config.model_dump(mode="json")}
    reference = world.broadcast(mine)

    def check() -> None:
        if lines := differences(mine, reference, "here, on rank 0"):
            listed = "\n  ".join(lines)
            raise InputError(f"{_this(world)} differs from rank 0:\n  {listed}")

    on_all_ranks(check, world)


def check_same_code(config: Config, space: SearchSpace, world: Communicator) -> None:
    """Raise an ``InputError`` on all ranks if any has loaded other code of the user's."""
    if world.size == 1:
        return
    mine = shared_hashes(config, space)
    reference = world.broadcast(mine)

    def check() -> None:
        if files := changed_files(reference, mine):
            listed = ", ".join(files)
            raise InputError(f"{_this(world)} has other code than rank 0: {listed}: {SAME_FILES}")

    on_all_ranks(check, world)


def check_same_model(model: keras.Model, dataset: Dataset, world: Communicator) -> None:
    """Raise an ``InputError`` on all ranks if any has loaded another model or other data."""
    if world.size == 1:
        return
    weights = hashlib.blake2b(digest_size=16)
    for weight in model.weights:
        weights.update(np.asarray(weight).tobytes())
    mine = {"model": weights.hexdigest(), "images or labels": dataset.digest}
    reference = world.broadcast(mine)

    def check() -> None:
        if different := [name for name in mine if mine[name] != reference[name]]:
            raise InputError(
                f"{_this(world)} does not have the same {' and '.join(different)} as rank 0: "
                f"{SAME_FILES}"
            )

    on_all_ranks(check, world)


def check_same_images(dataset: Dataset, digest: str, world: Communicator) -> None:
    """Raise an ``InputError`` on this rank if its data have another digest than rank 0's."""
    if dataset.digest != digest:
        raise InputError(
            f"{_this(world)} has different images or labels from rank 0 under the name "
            f"{dataset.name}: {SAME_FILES}"
        )


def _this(world: Communicator) -> str:
    return f"rank {world.rank} on {platform.node()}"
