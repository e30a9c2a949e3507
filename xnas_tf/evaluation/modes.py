"""Whether training steps compute in bfloat16 and are compiled by XLA, where a trial is to say."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable

import keras
import numpy as np

from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.open_modes import open_modes, with_modes
from xnas_tf.evaluation.supernet.benefit import is_shared
from xnas_tf.keras_tools.mixed_precision import check_devices
from xnas_tf.keras_tools.tracing import forgotten_custom_gradients
from xnas_tf.registry import describe
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.compilation import compile_model
from xnas_tf.training.multi_step import MOST_BYTES, stacked
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.step import Step
from xnas_tf.utils.randomness import uninterrupted

STEPS = 20
"""Steps that a trial takes the mean of, after the first."""
LESS = 0.95
"""A mode must take this share of the time without it, at most: it has other last digits."""


def chosen_modes(
    config: Config,
    dataset: Dataset,
    space: SearchSpace,
    world: Communicator,
    groups: int = 1,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, bool], str]:
    """What to take in place of ``auto``, and why: no mode where they exclude what pays more, the
    network that stands for those of all cells; else what a trial finds.

    Args:
        config: The configuration.
        dataset: The images.
        space: The search space.
        world: The ranks that train a candidate.
        groups: How many groups of such ranks there are.
        note: Is told of a trial before it begins.
    """
    plain = dict.fromkeys(open_modes(config), False)
    mine = is_shared(with_modes(config, plain), dataset, space, groups)
    (everywhere,) = world.sum(np.array(mine, np.int64))  # hosts may have other devices
    if everywhere == world.size:
        return plain, "one network stands for those of all cells, which they exclude"
    note(f"trying {' and '.join(plain)} on the default network")
    return measure_modes(config, dataset, space, world)


def measure_modes(
    config: Config, dataset: Dataset, space: SearchSpace, world: Communicator
) -> tuple[dict[str, bool], str]:
    """Tries the open modes on the search space's default network, on all ranks at once.

    A mode is worth what it saves in a whole training, with the first step, which XLA makes longer.

    Args:
        config: The configuration.
        dataset: The images.
        space: The search space.
        world: All ranks; the slowest one's seconds count.

    Returns:
        The modes, the same on all ranks, and why they were chosen.
    """
    names = open_modes(config)
    (lacking,) = world.sum(np.array("mixed_precision" in names and _lacks_bfloat16(), np.int64))
    seconds: dict[tuple[bool, ...], float] = {}
    for chosen in itertools.product((False, True), repeat=len(names)):
        modes = dict(zip(names, chosen, strict=True))
        if not (lacking and modes.get("mixed_precision")):
            mine = _seconds(with_modes(config, modes).training, dataset, space)
            seconds[chosen] = _largest(mine, world)
    plain, best = (False,) * len(names), min(seconds, key=seconds.__getitem__)
    if seconds[best] > LESS * seconds[plain]:
        best = plain
    told = ", ".join(_said(names, each, value) for each, value in seconds.items())
    return dict(zip(names, best, strict=True)), f"a training by {told}"


def _largest(mine: float, world: Communicator) -> float:
    """The largest of all ranks' numbers."""
    each = np.zeros(world.size)
    each[world.rank] = mine
    return float(world.sum(each)[0].max())


def _lacks_bfloat16() -> bool:
    try:
        check_devices()
    except InputError:
        return True
    return False


def _said(names: list[str], chosen: tuple[bool, ...], seconds: float) -> str:
    taken = [name for name, is_taken in zip(names, chosen, strict=True) if is_taken]
    how = f"{seconds:.1f} s" if math.isfinite(seconds) else "fails"
    return f"{' and '.join(taken) or 'neither'} {how}"


def _seconds(training: TrainingOptions, dataset: Dataset, space: SearchSpace) -> float:
    """What a whole training of the default network would take this rank alone; infinite where it
    fails, which candidates will say themselves if every way does."""
    try:
        with forgotten_custom_gradients():
            return _measured(training, dataset, space)
    except (Exception, SystemExit) as error:  # of a user's layers, of XLA, or out of memory
        print(f"a trial failed: {describe(error)}", file=sys.stderr)
        return math.inf
    finally:
        keras.backend.clear_session()


def _measured(training: TrainingOptions, dataset: Dataset, space: SearchSpace) -> float:
    size, steps = batching(len(dataset.train), training.batch_size)
    in_all = training.epochs * steps
    with uninterrupted():
        keras.utils.set_random_seed(0)  # deterministic runs refuse to draw without a seed
    model = space.default_model()
    if not model.compiled:
        compile_model(model, training, steps)
    model.optimizer.build(model.trainable_variables)
    step = Step(model, dataset, size, 0.0, training, SingleProcess(), in_all)
    batch = dataset.train.take(np.arange(size))
    some = max(1, min(STEPS, MOST_BYTES // batch.images.nbytes))

    def timed(height: int, calls: int) -> float:
        given = stacked([batch] * height)
        begin = time.perf_counter()
        for _ in range(calls):
            figures = step(*given)
        figures.numpy()  # waits for a GPU
        return (time.perf_counter() - begin) / (height * calls)

    first = timed(1, 1)
    return first + timed(some, -(-STEPS // some)) * (in_all - 1)
