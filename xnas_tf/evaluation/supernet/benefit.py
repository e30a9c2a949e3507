"""Decides whether one supernet for all cells is faster than one network per cell."""

from __future__ import annotations

import tensorflow as tf

from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.keras_tools.tracing import FEW_RUNS
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace

TRACE = 6.0
"""Cost of tracing the supernet, relative to tracing a cell's own network: 7.2 s to 1.2 s on average
(benchmarks/shared_graph.py of c0e5f76, quickstart)."""
STEP = 0.0013
"""Additional time that the supernet takes per training step, in the same unit."""
UNTRACED = 0.35
"""Cost of a cell's own network if it takes too few steps to be traced, in the same unit."""


def is_shared(config: Config, dataset: Dataset, space: SearchSpace, groups: int) -> bool:
    """Return whether a search trains a supernet in place of the candidates' own models.

    The trained weights are the same bit for bit, and attributions are the same except for rounding.
    The supernet is not used on GPUs: it has not been tested there, and choosing the operation of
    each edge may be slow. ``groups`` is the number of groups of ranks, each of which traces its own
    networks.
    """
    return _is_possible(config, space) and _gain(config, dataset, groups) > 0


def _is_possible(config: Config, space: SearchSpace) -> bool:
    training = config.training
    is_plain = not (training.mixed_precision or training.jit_compile or training.callbacks)
    is_on_cpu = not tf.config.list_physical_devices("GPU")
    has_cells = type(space.hypermodel) is NASBench201
    return has_cells and is_plain and is_on_cpu and len(config.rungs) == 1


def _gain(config: Config, dataset: Dataset, groups: int) -> float:
    """Return the time saved, relative to tracing a cell's own network."""
    steps = config.training.epochs * batching(len(dataset.train), config.training.batch_size)[1]
    saved = (1.0 if steps > FEW_RUNS else UNTRACED) - STEP * steps
    return saved * config.search.candidates / groups - TRACE
