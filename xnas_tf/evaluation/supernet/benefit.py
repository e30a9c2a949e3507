"""When one network for all cells is faster than one for each."""

from __future__ import annotations

import tensorflow as tf

from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.keras_tools.tracing import FEW_RUNS
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace

TRACE = 6.0
"""What tracing the shared network costs, in traces of a cell's own: 7.2 s and 1.2 s on average
(benchmarks/shared_graph.py, quickstart)."""
STEP = 0.0013
"""What a step of the shared network takes longer, in the same unit."""
UNTRACED = 0.35
"""What a cell costs whose own network is not traced, as it is trained in few steps."""


def is_shared(config: Config, dataset: Dataset, space: SearchSpace, groups: int) -> bool:
    """Whether a search is to train one network in place of all. A training is the same to the
    last bit, attributions are to rounding. Nobody has tried it on a GPU, where each edge's choice
    may cost a wait.

    Args:
        config: The configuration.
        dataset: The images.
        space: The search space.
        groups: Groups of ranks, of which each traces its own.
    """
    return _is_possible(config, space) and _gain(config, dataset, groups) > 0


def _is_possible(config: Config, space: SearchSpace) -> bool:
    training = config.training
    is_plain = not (training.mixed_precision or training.jit_compile)
    is_on_cpu = not tf.config.list_physical_devices("GPU")
    is_of_cells = type(space.hypermodel) is NASBench201
    return is_of_cells and is_plain and is_on_cpu and len(config.rungs) == 1


def _gain(config: Config, dataset: Dataset, groups: int) -> float:
    """What is gained, in traces of a cell's own network."""
    steps = config.training.epochs * batching(len(dataset.train), config.training.batch_size)[1]
    saved = (1.0 if steps > FEW_RUNS else UNTRACED) - STEP * steps
    return saved * config.search.candidates / groups - TRACE
